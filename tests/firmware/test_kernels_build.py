"""The kernels as C: warnings, the cross compiler, the sanitizers; one function per file."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from bit_exact import assert_bit_exact, compile_bytes, random_rows
from model_zoo import ds_cnn, every_operator

from tinyflow.artefacts import FIRMWARE
from tinyflow.compile.operators import OPERATORS, documentation, supported
from tinyflow.compile.tflite import parse_tflite
from tinyflow.reference import oracle
from tinyflow.reference.hostlib import host_compiler
from tinyflow.reference.hostmodel import KERNELS

SOURCES = sorted(KERNELS.glob("*.c"))
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes"]

MAIN = """/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "model.h"
#include "model_config.h"

int main(void) {
  static unsigned char input[MODEL_INPUT_BYTES];
  model_init();
  while (fread(input, 1, sizeof input, stdin) == sizeof input) {
    memcpy(model_input(), input, sizeof input);
    for (int i = 0; i < MODEL_LAYERS; i++) model_invoke_layer(i);
    fwrite(model_output(), 1, MODEL_OUTPUT_BYTES, stdout);
  }
  return 0;
}
"""


def test_functions_are_named_after_their_file():
    """The function of the file's name, and parts of it that begin with that name; each in a header of the folder."""
    headers = "".join(header.read_text() for header in KERNELS.glob("*.h"))
    for source in SOURCES:
        public = re.findall(r"^\w+ \*?(\w+)\([^;]*?\) \{", source.read_text(), re.MULTILINE)
        assert public and all(name.startswith(source.stem.removesuffix("_s8")) for name in public), (source, public)
        assert all(re.search(rf"\b{name}\b", headers) for name in public), source
        assert source.stem in public or source.with_suffix(".h").exists(), source


def test_documentation_has_every_operator_and_kernel():
    """The table is the registry's; what it names as a kernel is one, and every kernel is named in the document."""
    text = (FIRMWARE.parent / "docs" / "kernels.md").read_text()
    assert documentation.refreshed(text) == text, documentation.__doc__
    for name in [*OPERATORS, *(source.stem for source in SOURCES)]:
        assert f"`{name}`" in text, name
    kernels = {source.stem for source in SOURCES}
    for kind, operator in OPERATORS.items():
        named = re.findall(r"`(\w+)`", operator.row.kernels)
        assert {name for name in named if name.endswith(("_s8", "_f32"))} <= kernels and named or operator.view, kind


def test_every_operator_in_one_network():
    pytest.importorskip("tflite_micro", reason="needs the tflite-micro wheel: make setup")
    assert_bit_exact(every_operator(), rows=20)
    found = {op.kind for op in parse_tflite(every_operator(), "all").ops}
    assert set(supported()) - found == {"PADV2", "SQUEEZE", "EXPAND_DIMS"}


@pytest.mark.parametrize("cpu", ["cortex-m4", "cortex-m3", "cortex-m0", "cortex-m55"])
def test_cross_compiles_without_a_warning(cpu, tmp_path):
    if not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("needs arm-none-eabi-gcc: make setup")
    compile_bytes(every_operator(), tmp_path)
    includes = [f"-I{folder}" for folder in (KERNELS, FIRMWARE / "model", tmp_path / "c")]
    for source in [*SOURCES, tmp_path / "c" / "model.c"]:
        flags = [f"-mcpu={cpu}", "-mthumb", "-O2", "-ffunction-sections", *STRICT]
        result = subprocess.run(
            ["arm-none-eabi-gcc", *flags, *includes, "-c", str(source), "-o", str(tmp_path / "x.o")],
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr


def test_no_kernel_calls_more_than_kernels_memcpy_and_memset(tmp_path):
    """No heap, no libm, no printf: what the compiler itself may need (64-bit division, soft float) apart."""
    if not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("needs arm-none-eabi-gcc: make setup")
    for source in SOURCES:
        out = tmp_path / f"{source.stem}.o"
        subprocess.run(
            ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-O2", "-std=c99", "-c", str(source), "-o", str(out)],
            check=True,
        )
        undefined = subprocess.run(
            ["arm-none-eabi-nm", "-u", str(out)], capture_output=True, text=True, check=True
        ).stdout.split()
        kernels = ("U", "__aeabi_", *(other.stem for other in SOURCES))
        assert {name for name in undefined if not name.startswith(kernels)} <= {"memcpy", "memset"}, source


@pytest.mark.parametrize("build", [every_operator, ds_cnn])
def test_sanitizers_find_nothing(build, tmp_path):
    """Address and undefined-behaviour sanitizers over every kernel, in a program of its own; answers still TFLM's."""
    pytest.importorskip("tflite_micro", reason="needs the tflite-micro wheel: make setup")
    data = build()
    model = compile_bytes(data, tmp_path)
    (tmp_path / "main.c").write_text(MAIN)
    includes = [f"-I{folder}" for folder in (KERNELS, FIRMWARE / "model", tmp_path / "c")]
    program = tmp_path / "program"
    flags = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", *STRICT]
    sources = [tmp_path / "main.c", tmp_path / "c" / "model.c", *SOURCES]
    built = subprocess.run(
        [*host_compiler(), *flags, *includes, *map(str, sources), "-o", str(program)], capture_output=True, text=True
    )
    if built.returncode and "cannot find" in built.stderr:
        pytest.skip("needs the compiler's sanitizer libraries: libasan and libubsan")
    assert built.returncode == 0, built.stderr
    x = random_rows(model, 12, 3)
    run = subprocess.run(
        [program], input=x.tobytes(), capture_output=True, timeout=120, env={"ASAN_OPTIONS": "detect_leaks=0"}
    )
    assert run.returncode == 0, run.stderr.decode()
    ours = np.frombuffer(run.stdout, np.int8).reshape(12, -1)
    assert np.array_equal(ours, oracle.invoke(data, x).reshape(12, -1))
