"""The genotype's schema: it round-trips, and a broken file is told field by field."""

import copy
import json
import re

import pytest

from tinyflow.artefacts import CONFIGS
from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.config import TABLE_1, MfccConfig
from tinyflow.network.genotype import genotype_from_dict, read_genotype
from tinyflow.network.operations import OPERATIONS

GOOD = {
    "schema_version": 1,
    "task": "gsc12",
    "labels": ["yes", "no"],
    "mfcc": {"window": 400, "hop": 200, "n_mels": 40},
    "normal": [[["sep_conv_3x3", 0], ["skip_connect", 1]]] * 2 + [[["max_pool_3x3", 2], ["dil_conv_5x5", 1]]] * 2,
    "reduction": [[["avg_pool_3x3", 0], ["sep_conv_5x5", 1]]] * 4,
    "channels": 8,
    "cells": 3,
    "stem_stride": 2,
}
NEW = {key: value for key, value in GOOD.items() if key != "mfcc"} | {
    "schema_version": 3,
    "frontend": {"kind": "mfcc", "window": 400, "hop": 200, "n_mels": 40},
}
LAYER = {"kernel": 3, "stride": [2, 1], "size": [40, 40], "channels": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"alignment": "preprocess", "alignment_layer": LAYER},
        {"alignment": "zero_pad", "alignment_layer": {"size": [157, 80]}},
        {"alignment": "zero_pad", "alignment_layer": None},
        {"schema_version": 2, "architecture": "ds_cnn"},
        {"schema_version": 2, "normal": [[["time_conv_9", 0], ["residual_conv_3x3", 1]]] * 4},
    ],
)
def test_round_trip(tmp_path, changes):
    genotype = genotype_from_dict({**GOOD, **changes})
    genotype.write(tmp_path / "genotype.json")
    assert read_genotype(tmp_path / "genotype.json") == genotype
    assert genotype.to_dict()["schema_version"] == 3


def test_older_versions_call_the_front_end_mfcc():
    """And what was trained of them stays up to date: their identity is what version 2 wrote."""
    old = genotype_from_dict({**GOOD, "schema_version": 2})
    new = genotype_from_dict(NEW)
    assert new == old and new.to_dict()["frontend"] == MfccConfig(window=400, hop=200).to_dict()
    said = new.identity()
    assert said["schema_version"] == 2 and "frontend" not in said
    assert said["mfcc"] == {
        "sample_rate": 16000,
        "window": 400,
        "hop": 200,
        "n_mels": 40,
        "n_mfcc": 40,
        "n_fft": 400,
    }


def test_pruning_takes_the_padded_size_alone():
    padded = genotype_from_dict({**GOOD, "alignment": "zero_pad", "alignment_layer": {"size": [157, 80]}})
    assert (
        padded.padded_size == (157, 80)
        and padded.pruned().padded_size is None
        and padded.pruned().alignment == "zero_pad"
    )
    kept = genotype_from_dict({**GOOD, "alignment": "preprocess", "alignment_layer": LAYER})
    assert kept.padded_size is None and kept.pruned() is kept


@pytest.mark.parametrize("path", sorted((CONFIGS / "genotypes").glob("*.json")), ids=lambda path: path.stem)
def test_committed_genotypes_round_trip(path, tmp_path):
    genotype = read_genotype(path)
    genotype.write(tmp_path / "again.json")
    assert read_genotype(tmp_path / "again.json") == genotype


def broken(**changes):
    value = copy.deepcopy(GOOD)
    value.update(changes)
    return value


@pytest.mark.parametrize(
    "value, message",
    [
        (broken(schema_version=9), "schema_version is 9"),
        (broken(chanels=3), "unknown field 'chanels'"),
        (broken(channels=0), "channels is 0"),
        (broken(stem_stride=3), "stem_stride is 3"),
        (broken(normal=GOOD["normal"][:3]), "normal needs 4 nodes"),
        (broken(normal=[[["sep_conv_3x4", 0], ["skip_connect", 1]]] * 4), "unknown operation 'sep_conv_3x4'"),
        (broken(normal=[[["sep_conv_3x3", 2], ["skip_connect", 1]]] * 4), "source is 2"),
        (broken(mfcc={"window": 401, "hop": 200}), "n_fft 401"),
        (broken(mfcc={"windw": 401}), "windw"),
        (broken(mfcc=7), "frontend is 7"),
        ({**NEW, "mfcc": GOOD["mfcc"]}, "unknown field 'mfcc'"),
        ({**NEW, "frontend": {"window": 400}}, "front end of kind None"),
        ({**NEW, "frontend": {"kind": "mfc"}}, "front end of kind 'mfc'"),
        (broken(labels=["a", "a"]), "labels is"),
        (broken(alignment="crop"), "alignment is 'crop'"),
        (broken(architecture="ds-cnn"), "architecture is 'ds-cnn'"),
        (broken(alignment_layer={"size": [157, 80]}), "alignment_layer is {'size': [157, 80]}"),
        (broken(alignment="preprocess", alignment_layer={"size": [49, 40]}), "alignment_layer is {'size': [49, 40]}"),
        (broken(alignment="preprocess", alignment_layer=[3]), "alignment_layer is [3]"),
        (broken(alignment="preprocess", alignment_layer={**LAYER, "kernel": 2}), "alignment_layer.kernel is 2"),
        (
            broken(alignment="preprocess", alignment_layer={**LAYER, "stride": [0, 1]}),
            "alignment_layer.stride is [0, 1]",
        ),
        (broken(alignment="preprocess", alignment_layer={**LAYER, "size": 49}), "alignment_layer.size is 49"),
        (
            broken(alignment="preprocess", alignment_layer={**LAYER, "channels": True}),
            "alignment_layer.channels is True",
        ),
        (broken(alignment="zero_pad", alignment_layer={"size": [157, 39]}), "alignment_layer.size is [157, 39]"),
        (broken(alignment="zero_pad", alignment_layer=LAYER), "alignment_layer is {"),
    ],
)
def test_broken_genotypes_name_file_and_field(value, message, tmp_path):
    path = tmp_path / "genotype.json"
    path.write_text(json.dumps(value))
    with pytest.raises(TinyflowError) as error:
        read_genotype(path)
    assert message in error.value.message and str(path) in error.value.message and error.value.hint


def test_not_json(tmp_path):
    (tmp_path / "g.json").write_text("{")
    with pytest.raises(TinyflowError, match="not valid JSON"):
        read_genotype(tmp_path / "g.json")


def test_table_1_frames_per_second_of_audio():
    frames = {(config.window, config.hop): config.frames() for config in TABLE_1}
    assert len(TABLE_1) == 8
    assert frames == {(400, 100): 157, (400, 200): 79, (640, 160): 97, (640, 320): 49}  # design: front end


@pytest.mark.parametrize(
    "values", [{"window": 0}, {"hop": 900}, {"n_mfcc": 41}, {"n_fft": 600}, {"window": 700}, {"hop": 1.5}]
)
def test_impossible_front_ends_are_refused(values):
    with pytest.raises(TinyflowError):
        MfccConfig(**values)


def test_documentation_has_every_operation():
    text = (CONFIGS.parent / "docs" / "genotype.md").read_text()
    for operation in OPERATIONS:
        assert f"`{re.sub(r'conv_(.)x.$', 'conv_kxk', operation)}`" in text or f"`{operation}`" in text, operation
