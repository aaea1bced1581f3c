"""The generated resolver: the model's operators and no other, for int8 alone where the library has that."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from firmware_models import small_network
from tflite_builder import Builder
from tflm_roots import FUNCTIONS, installed

from tinyflow.compile.artefact import CompiledModel, Port
from tinyflow.deploy.tflm.library import RESOLVER, libraries
from tinyflow.deploy.tflm.source import Registration, operators, write_source
from tinyflow.errors import TinyflowError

cross = pytest.mark.skipif(not shutil.which("arm-none-eabi-ar"), reason="needs arm-none-eabi-gcc: make setup")


def compiled(folder: Path, tflite: bytes) -> CompiledModel:
    (folder / "model_int8.tflite").write_bytes(tflite)
    port = Port("x", (1, 8), "int8", 1.0, 0)
    return CompiledModel(folder, "model", port, port, (), 0, 0, 0, 0)


def write(root: Path, monkeypatch, tflite: bytes, functions=FUNCTIONS, build="cortex-m4+fp_release_cmsis_nn"):
    installed(root / "tflm", build, functions=functions)
    monkeypatch.setenv("TFLM_ROOT", str(root / "tflm"))
    (root / "generated").mkdir()
    found = write_source(compiled(root, tflite), libraries()[0], 4096, root / "generated")
    return found, (root / "generated" / "tflm_model.h").read_text()


@cross
def test_the_resolver_has_what_the_model_needs(tmp_path, monkeypatch):
    found, header = write(tmp_path, monkeypatch, small_network())
    assert [item.kind for item in found] == ["CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX"]
    for add in (
        "AddConv2D(tflite::Register_CONV_2D_INT8())",
        "AddDepthwiseConv2D()",
        "AddMean()",
        "AddFullyConnected()",
        "AddSoftmax()",
    ):
        assert f"  resolver.{add};\n" in header
    assert "AddAdd" not in header and '#include "tensorflow/lite/micro/kernels/conv.h"' in header
    assert "MicroMutableOpResolver<TFLM_KINDS>" in header and "#define TFLM_KINDS 5" in header
    assert "tflm_kind_of[MODEL_LAYERS] = {0, 1, 3, 2, 4}" in header  # kinds by name
    config = (tmp_path / "generated" / "model_config.h").read_text()
    assert "#define MODEL_ARENA_BYTES 4096" in config and "#define MODEL_LAYERS 5" in config


@cross
def test_the_model_is_data_that_flash_counts_as_the_model(tmp_path, monkeypatch):
    write(tmp_path, monkeypatch, small_network())
    text = (tmp_path / "generated" / "tflm_model.c").read_text()
    assert "aligned(16)" in text and "model_const_tflite" in text
    numbers = text[text.rindex("{") + 1 : text.rindex("}")].replace("\n", "").split(",")
    assert bytes(map(int, numbers)) == small_network()


@cross
def test_an_operator_that_the_library_lacks_is_named(tmp_path, monkeypatch):
    without = tuple(name for name in FUNCTIONS if name != "MEAN")
    with pytest.raises(
        TinyflowError,
        match=r"has MEAN, and .*libtensorflow-microlite.a was built without it: there is no Register_MEAN\(\)",
    ):
        write(tmp_path, monkeypatch, small_network(), without)


@cross
def test_an_operator_that_tflm_does_not_have_is_named(tmp_path, monkeypatch):
    b = Builder()
    x, y = b.tensor((1, 8), 0.1, 0), b.tensor((1, 8), 0.1, 0)
    b.op("GELU", [x], [y], "GeluOptions")
    with pytest.raises(TinyflowError, match="has GELU, which the TFLM in .* does not have"):
        write(tmp_path, monkeypatch, b.finish([x], [y]))


@cross
def test_headers_of_another_version_than_the_library(tmp_path, monkeypatch):
    with pytest.raises(TinyflowError, match=r"lack Register_ADD_INT8\(\), which the library has"):
        b = Builder()
        x, y = b.tensor((1, 8), 0.1, 0), b.tensor((1, 8), 0.1, 0)
        b.op("ADD", [x, x], [y], "AddOptions")
        write(tmp_path, monkeypatch, b.finish([x], [y]), (*FUNCTIONS, "ADD_INT8"))


@cross
def test_an_operator_on_other_types_is_registered_in_general(tmp_path, monkeypatch):
    """An ADD of int32 beside the convolutions, as converters write for shapes."""
    b = Builder()
    x, y = b.tensor((1, 6, 5, 8), 0.05, 3), b.tensor((1, 6, 5, 4), 0.03, -128)
    w = b.const(np.ones((4, 1, 1, 8)), "int8", 0.01)
    b.op("CONV_2D", [x, w], [y], "Conv2DOptions", strideH=1, strideW=1, padding="SAME", activation="NONE")
    one = b.const(np.ones(4), "int32")
    total = b.const(np.ones(4), "int32")
    b.op("ADD", [one, one], [total], "AddOptions")
    _, header = write(tmp_path, monkeypatch, b.finish([x], [y]), (*FUNCTIONS, "ADD_INT8"))
    assert "resolver.AddAdd();" in header and "Register_CONV_2D_INT8" in header


def test_operators_that_nothing_depends_on_are_run_too(tmp_path):
    b = Builder()
    x = b.tensor((1, 6, 5, 8), 0.05, 3)
    for _ in range(2):
        w = b.const(np.ones((4, 1, 1, 8)), "int8", 0.01)
        y = b.tensor((1, 6, 5, 4), 0.03, -128)
        b.op("CONV_2D", [x, w], [y], "Conv2DOptions", strideH=1, strideW=1, padding="SAME", activation="NONE")
    (tmp_path / "two.tflite").write_bytes(b.finish([x], [y - 2]))
    found = operators(tmp_path / "two.tflite")
    assert [(item.kind, item.macs, item.input_shape, item.output_shape) for item in found] == [
        ("CONV_2D", 960, (1, 6, 5, 8), (1, 6, 5, 4))
    ] * 2


@pytest.mark.tflm
def test_the_installed_resolver_is_read_whole():
    """Every Add method of a builtin is found, and what it registers."""
    text = (Path(os.environ["TFLM_ROOT"]) / RESOLVER).read_text()
    found = Registration.of_header(text)
    assert len(found) == text.count("return AddBuiltin(BuiltinOperator_") > 60
    assert found["CONV_2D"] == Registration("AddConv2D", "Register_CONV_2D", True)
    assert found["AVERAGE_POOL_2D"] == Registration("AddAveragePool2D", "Register_AVERAGE_POOL_2D", True)
    assert [kind for kind, item in found.items() if not item.default] == []
