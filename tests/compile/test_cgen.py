"""The generated C: deterministic, self-contained, complete, and its sizes as stated."""

import doctest
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from bit_exact import compile_bytes, kernel_archive
from model_zoo import ds_cnn, every_operator
from tflite_builder import Builder

from tinyflow.artefacts import FIRMWARE
from tinyflow.compile import cgen, fixedpoint
from tinyflow.compile.artefact import load_compiled
from tinyflow.errors import TinyflowError
from tinyflow.reference.hostmodel import KERNELS, HostModel

Q = (0.05, 3)


def test_equal_inputs_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        compile_bytes(every_operator(), tmp_path / name)
    for file in ("model.c", "model_config.h"):
        assert (tmp_path / "a" / "c" / file).read_bytes() == (tmp_path / "b" / "c" / file).read_bytes()


def test_no_path_and_no_name_of_this_machine(tmp_path):
    compile_bytes(every_operator(), tmp_path)
    text = (tmp_path / "c" / "model.c").read_text()
    assert str(tmp_path) not in text and str(FIRMWARE) not in text
    assert text.startswith("/* SPDX-License-Identifier: Apache-2.0 */\n")
    assert set(re.findall(r'#include ["<](.*?)[">]', text)) == {"model.h", "stddef.h", "kernels.h", "model_config.h"}


def test_config_and_layers_agree(tmp_path):
    model = compile_bytes(ds_cnn(), tmp_path)
    config = (tmp_path / "c" / "model_config.h").read_text()
    stated = {name: int(value) for name, value in re.findall(r"#define (MODEL_\w+) (\d+)", config)}
    assert stated == {
        "MODEL_INPUT_BYTES": 490,
        "MODEL_OUTPUT_BYTES": 12,
        "MODEL_ARENA_BYTES": model.arena_bytes,
        "MODEL_LAYERS": len(model.layers),
    }
    assert [layer.kind for layer in model.layers[:3]] == ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D"]
    first = model.layers[0]
    assert (first.input_shape, first.output_shape, first.macs) == ((1, 49, 10, 1), (1, 25, 5, 64), 25 * 5 * 64 * 40)
    assert [layer.index for layer in model.layers] == list(range(len(model.layers)))
    assert len({layer.name for layer in model.layers}) == len(model.layers)


def test_artefact_round_trip(tmp_path):
    model = compile_bytes(ds_cnn(), tmp_path)
    model.write()
    assert load_compiled(tmp_path) == model


def test_equal_names_are_told_apart(tmp_path):
    b = Builder()
    x, y, z = b.tensor((1, 4), *Q), b.tensor((1, 4), *Q, name="same"), b.tensor((1, 4), *Q, name="same")
    b.op("RELU", [x], [y])
    b.op("RELU6", [y], [z])
    assert [layer.name for layer in compile_bytes(b.finish([x], [z]), tmp_path).layers] == ["same", "same#2"]


def test_model_bytes_are_what_the_object_file_holds(tmp_path):
    """The constants named model_const_* in the cross-compiled object sum to model_bytes."""
    if not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("needs arm-none-eabi-gcc: make setup")
    model = compile_bytes(every_operator(), tmp_path)
    includes = [f"-I{folder}" for folder in (KERNELS, FIRMWARE / "model", tmp_path / "c")]
    command = [
        "arm-none-eabi-gcc",
        "-mcpu=cortex-m4",
        "-mthumb",
        "-O2",
        "-std=c99",
        *includes,
        "-c",
        str(tmp_path / "c" / "model.c"),
    ]
    subprocess.run([*command, "-o", str(tmp_path / "model.o")], check=True)
    listing = subprocess.run(
        ["arm-none-eabi-nm", "-S", str(tmp_path / "model.o")], capture_output=True, text=True, check=True
    ).stdout
    symbols = [line.split() for line in listing.splitlines()]
    sizes = [
        int(size, 16) for _, size, kind, name in (s for s in symbols if len(s) == 4) if name.startswith("model_const_")
    ]
    assert sum(sizes) == model.model_bytes
    kinds = {kind for _, _, kind, name in (s for s in symbols if len(s) == 4) if name.startswith("model_const_")}
    assert kinds == {"r"}, "constants must lie in flash"
    layers = [name for *_, name in symbols if re.fullmatch(r"model_layer_\d+", name)]
    assert len(layers) == len(model.layers)


def test_equal_constants_are_stored_once(tmp_path):
    b = Builder()
    x = b.tensor((1, 64), *Q)
    w = b.const(np.arange(64 * 64).reshape(64, 64) % 255 - 127, "int8", 0.01)
    again = b.const(np.arange(64 * 64).reshape(64, 64) % 255 - 127, "int8", 0.01)
    y, z = b.tensor((1, 64), *Q), b.tensor((1, 64), *Q)
    b.op("FULLY_CONNECTED", [x, w, -1], [y], "FullyConnectedOptions")
    b.op("FULLY_CONNECTED", [y, again, -1], [z], "FullyConnectedOptions")
    # a bias, a multiplier and a shift each
    assert compile_bytes(b.finish([x], [z]), tmp_path).model_bytes == 64 * 64 + 64 * 9


def test_model_without_a_layer(tmp_path):
    """Only a view: nothing to run, and the output is where the input was written."""
    b = Builder()
    x, y = b.tensor((1, 2, 3), *Q), b.tensor((1, 6), *Q)
    b.op("RESHAPE", [x], [y], "ReshapeOptions")
    model = compile_bytes(b.finish([x], [y]), tmp_path)
    assert model.layers == ()
    rows = np.arange(12).astype(np.int8).reshape(2, 2, 3)
    assert np.array_equal(HostModel(model, kernels=[kernel_archive()]).invoke(rows), rows.reshape(2, 6))


def test_layers_one_by_one_are_the_invoke(tmp_path):
    model = compile_bytes(every_operator(), tmp_path)
    host = HostModel(model, kernels=[kernel_archive()])
    x = np.random.default_rng(1).integers(-128, 128, (3, 7, 5, 6)).astype(np.int8)
    for row, answer in zip(x, host.invoke(x)):
        assert np.array_equal(host.layer_outputs(row)[-1][0], answer)
        assert np.array_equal(host.layer(2, row), host.layer_outputs(row)[2])


def test_host_model_refuses_another_shape(tmp_path):
    host = HostModel(compile_bytes(every_operator(), tmp_path), kernels=[kernel_archive()])
    with pytest.raises(TinyflowError, match="210 int8 per row"):
        host.invoke(np.zeros((1, 5), np.int8))
    with pytest.raises(TinyflowError, match="float32"):
        host.invoke(np.zeros((1, 7, 5, 6), np.float32))
    with pytest.raises(TinyflowError, match="model_config.h"):
        HostModel(Path(tmp_path / "nowhere"))


@pytest.mark.parametrize("module", [cgen, fixedpoint])
def test_doctests(module):
    assert doctest.testmod(module).failed == 0


def test_literals_are_exact():
    for value in (0.1, np.float32(0.1).item(), 1e-30, 3.0):
        assert float.fromhex(cgen.number(np.float32(value).item())[:-1]) == np.float32(value)
