"""A foreign .tflite into a compile folder; the oracle around it."""

import json

import numpy as np
import pytest
from model_zoo import autoencoder, ds_cnn
from tflite_builder import Builder

from tinyflow.compile.artefact import load_compiled
from tinyflow.compile.foreign import compile_tflite
from tinyflow.errors import TinyflowError
from tinyflow.reference import oracle
from tinyflow.reference.hostmodel import HostModel

pytest.importorskip("tflite_micro", reason="needs the tflite-micro wheel: make setup")

Q = (0.05, 3)


def test_the_folder_is_whole(tmp_path):
    path = tmp_path / "keywords.tflite"
    path.write_bytes(ds_cnn())
    said = []
    model = compile_tflite(
        path, tmp_path / "out", lambda task, done, total, note="": said.append((task, done, total, note))
    )
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "arena.png",
        "c",
        "compiled.json",
        "model_int8.tflite",
    ]
    assert model.tflite.read_bytes() == path.read_bytes()
    assert model == load_compiled(tmp_path / "out") and model.folder == tmp_path / "out"
    assert (model.name, model.macs, model.frontend, model.labels) == ("keywords", 2_656_768, None, ())
    assert 8_000 < model.arena_bytes <= 10_500, (
        "one map, worked over in place, and a little scratch; TFLM plans 22,820 B"
    )
    assert model.input.shape == (1, 49, 10, 1) and model.input.zero_point == 83 and model.output.scale == 1 / 256
    assert said[-1][1:3] == (1, 1) and "2,656,768 MACs" in said[-1][3]
    assert str(tmp_path) not in json.dumps(json.loads((model.folder / "compiled.json").read_text()))
    x = np.random.default_rng(0).integers(-128, 128, (5, 49, 10, 1)).astype(np.int8)
    answers = HostModel(model).invoke(x)
    assert answers.shape == (5, 12) and answers.dtype == np.int8
    assert np.array_equal(answers, oracle.invoke(path, x))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compiled")
    (folder / "m.tflite").write_bytes(ds_cnn())
    return compile_tflite(folder / "m.tflite", folder / "out")


def test_the_plan_says_where_everything_lies(compiled):
    model = compiled
    placed, layers = model.plan.placed, len(model.layers)
    assert max(item.offset + item.bytes for item in placed) <= model.plan.arena_bytes == model.arena_bytes
    assert (placed[0].name, placed[0].first) == (model.input.name, 0)
    assert [item.name for item in placed if item.last == layers] == [model.output.name]
    made = {(item.name, item.offset, item.bytes, item.first) for item in placed}
    assert {(layer.name, layer.offset, layer.bytes, layer.index) for layer in model.layers} <= made
    assert {item.name for item in placed if item.scratch} == {"scratch"}
    alive = max(sum(item.bytes for item in placed if item.first <= layer <= item.last) for layer in range(layers))
    assert alive >= model.plan.bound_bytes, "the bound counts only what cannot share"


@pytest.mark.parametrize(
    "rows, hint",
    [
        (np.zeros((2, 49, 10, 1), np.float32), "clip(round(x / "),
        (np.zeros((49, 10, 1), np.int8), "x[None]"),
        (np.zeros((2, 10, 49, 1), np.int8), "give it that shape"),
        (np.zeros((0, 49, 10, 1), np.int8), "give it that shape"),
        ([1, 2, 3], "clip(round(x / "),
        (None, "clip(round(x / "),
    ],
)
def test_what_is_no_row_is_named_with_the_way_to_one(compiled, rows, hint):
    with pytest.raises(TinyflowError, match=r"m takes int8 \[N, 49, 10, 1\]") as error:
        compiled.rows(rows)
    assert hint in error.value.hint


def test_rows_are_taken_as_they_are(compiled):
    rows = np.zeros((2, 49, 10, 1), np.int8)
    assert compiled.rows(rows) is rows


def test_compiling_again_replaces_and_a_failure_leaves_the_old(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(ds_cnn())
    compile_tflite(path, tmp_path / "out")
    path.write_bytes(autoencoder())
    assert compile_tflite(path, tmp_path / "out").macs == 264_192
    path.write_bytes(b"rubbish, and long enough")
    with pytest.raises(TinyflowError, match="m.tflite"):
        compile_tflite(path, tmp_path / "out")
    assert load_compiled(tmp_path / "out").macs == 264_192
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.tflite", "out"], "no temporary folder stays"


def test_a_network_of_views_alone_is_refused(tmp_path):
    """The firmware's profile and layer commands have nothing to count in it."""
    b = Builder()
    x, y = b.tensor((1, 4), *Q), b.tensor((1, 2, 2), *Q)
    b.op("RESHAPE", [x], [y], "ReshapeOptions", newShape=np.array([1, 2, 2], np.int32))
    for inputs, outputs in (([x], [y]), ([x], [x])):
        (tmp_path / "views.tflite").write_bytes(b.finish(inputs, outputs))
        with pytest.raises(TinyflowError, match="views.tflite computes nothing"):
            compile_tflite(tmp_path / "views.tflite", tmp_path / "out")


def two_outputs():
    b = Builder()
    x, y, z = b.tensor((1, 4), *Q, name="in"), b.tensor((1, 4), *Q, name="left"), b.tensor((1, 4), *Q, name="right")
    b.op("RELU", [x], [y])
    b.op("RELU6", [x], [z])
    return b.finish([x], [y, z])


def float_input():
    b = Builder()
    x, y = b.tensor((1, 4), dtype="float32", name="floats"), b.tensor((1, 4), *Q, name="out")
    b.op("QUANTIZE", [x], [y], "QuantizeOptions")
    return b.finish([x], [y])


@pytest.mark.parametrize(
    "build,words", [(two_outputs, ("left", "right", "[1, 4]", "'in'")), (float_input, ("floats", "float32", "'out'"))]
)
def test_one_int8_input_and_output_or_refused_naming_both(build, words, tmp_path):
    (tmp_path / "m.tflite").write_bytes(build())
    with pytest.raises(TinyflowError) as error:
        compile_tflite(tmp_path / "m.tflite", tmp_path / "out")
    for word in ("m.tflite", "int8", *words):
        assert word in str(error.value)
    assert not (tmp_path / "out").exists()


def test_oracle_says_who_it_is_and_gives_every_layer():
    assert oracle.version() == "tflite-micro 0.dev20261023182759 (TFLM 8f6596d)"
    outputs = oracle.layer_outputs(autoencoder(), np.zeros((1, 640), np.int8))
    assert [value.shape for value in outputs.values()] == [
        (1, n) for n in (128, 128, 128, 128, 8, 128, 128, 128, 128, 640)
    ]
    final = list(outputs.values())[-1]
    assert np.array_equal(final, oracle.invoke(autoencoder(), np.zeros((1, 640), np.int8)))


def test_oracle_refuses_another_shape():
    with pytest.raises(TinyflowError, match=r"\[1, 640\]"):
        oracle.invoke(autoencoder(), np.zeros((1, 600), np.int8))
    with pytest.raises(TinyflowError, match="float32"):
        oracle.invoke(autoencoder(), np.zeros((1, 640), np.float32))


def test_without_the_wheel_the_oracle_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "tflite_micro.python.tflite_micro", None)
    with pytest.raises(TinyflowError, match="tflite_micro.*is not installed") as error:
        oracle.invoke(autoencoder(), np.zeros((1, 640), np.int8))
    assert error.value.hint.endswith("pip install 'tinyflow-mcu[oracle]'")
