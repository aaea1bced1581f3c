"""Sizes against binutils, which we did not write."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tinyflow.deploy.image.sizes import measure
from tinyflow.errors import TinyflowError
from tinyflow.results import to_json

C = r"""
#include <stdint.h>
const int8_t model_const_weights[100] = {1, 2, 3};
const int32_t model_const_bias[7] = {4};
const int16_t table[11] = {5};
int counter = 3;
int8_t arena[1000];
void (*const start[])(void) __attribute__((section(".init_array"), used)) = {0};
__attribute__((noinline)) int work(int n) {
  return model_const_weights[n] + model_const_bias[n & 3] + table[n] + counter + arena[n];
}
int alias(int n) __attribute__((alias("work")));
void reset(void) { counter = work(counter); for (;;) {} }
"""
LD = """
MEMORY { FLASH (rx): ORIGIN = 0x08000000, LENGTH = 64K  RAM (rwx): ORIGIN = 0x20000000, LENGTH = 64K }
SECTIONS {
  .text : { *(.text*) } > FLASH
  .rodata : { *(.rodata*) } > FLASH
  .init_array : { KEEP(*(.init_array)) } > FLASH
  .data : { *(.data*) } > RAM AT > FLASH
  .bss (NOLOAD) : { *(.bss*) *(COMMON) } > RAM
  .stack (NOLOAD) : { . += 2048; } > RAM
}
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Path:
    if not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("arm-none-eabi-gcc is missing: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi")
    folder = tmp_path_factory.mktemp("sizes")
    (folder / "image.c").write_text(C)
    (folder / "image.ld").write_text(LD)
    subprocess.run(
        [
            "arm-none-eabi-gcc",
            "-mcpu=cortex-m4",
            "-mthumb",
            "-O1",
            "-g",
            "-nostdlib",
            "-T",
            "image.ld",
            "-Wl,-e,reset",
            "image.c",
            "-o",
            "image.elf",
        ],
        cwd=folder,
        check=True,
    )
    return folder / "image.elf"


def test_flash_and_ram_equal_binutils(image):
    sizes = measure(image)
    text, data, bss = map(
        int,
        subprocess.run(["arm-none-eabi-size", image], capture_output=True, text=True, check=True)
        .stdout.splitlines()[1]
        .split()[:3],
    )
    init = {section.name: section for section in sizes.elf_sections}[".init_array"]
    assert init.flash and not init.ram  # binutils' size counts it as data
    assert sizes.flash_bytes == text + data
    assert sizes.ram_bytes == data + bss - init.bytes
    by_name = {section.name: section for section in sizes.elf_sections}
    assert by_name[".stack"].bytes == 2048 and by_name[".stack"].ram and not by_name[".stack"].flash
    assert by_name[".data"].flash and by_name[".data"].ram


def test_functions_and_constants_equal_nm(image):
    sizes = measure(image)
    listing = subprocess.run(
        ["arm-none-eabi-nm", "--print-size", "--radix=d", image], capture_output=True, text=True, check=True
    ).stdout
    found = {match[4]: int(match[2]) for match in re.finditer(r"^(\d+) (\d+) (\w) (\w+)$", listing, re.M)}
    assert {symbol.name: symbol.bytes for symbol in sizes.constants} == {
        name: found[name] for name in ("model_const_weights", "model_const_bias", "table", "start") if name in found
    }
    assert sizes.model_bytes == 100 + 28
    names = [symbol.name for symbol in sizes.functions]
    assert len({"work", "alias"} & set(names)) == 1  # one place, counted once
    assert all(found[symbol.name] == symbol.bytes for symbol in sizes.functions)
    assert {symbol.file for symbol in sizes.functions} == {"image.c"}


def test_to_dict_is_json(image):
    import json

    value = json.loads(json.dumps(to_json(measure(image))))
    assert value["model_bytes"] == 128 and value["functions"][0]["bytes"] >= value["functions"][-1]["bytes"]
    assert (
        sum(value["sections"].values()) == value["flash_bytes"]
        and sum(value["ram_sections"].values()) == value["ram_bytes"]
    )


def test_parts_from_the_map(tmp_path):
    """Every byte of flash belongs to one part; equal strings of two files lie once and count once."""
    if not shutil.which("arm-none-eabi-gcc"):
        pytest.skip("arm-none-eabi-gcc is missing: apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi")
    files = {
        "app/main.c": (
            "int kernel(int); int layer(int); char *copy(char *, const char *); extern char out[40]; void reset(void) {"
            ' copy(out, "a common text"); layer(kernel(3)); for (;;) {} }'
        ),
        "app/other.c": (
            'char out[40]; char *copy(char *a, const char *b) { while ((*a++ = *b++)) {} return b ? a : (char *)"common'
            ' text"; }'
        ),
        "kernels/kernel.c": "int kernel(int n) { return n / 3; }",
        "generated/model.c": (
            "static const signed char model_const_w[101] = {1, 2}; static const int model_params_0[4] = {3, 4}; int"
            " layer(int n) { return model_const_w[n] + model_params_0[n & 3]; }"
        ),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        subprocess.run(
            [
                "arm-none-eabi-gcc",
                "-mcpu=cortex-m4",
                "-mthumb",
                "-Os",
                "-fdata-sections",
                "-ffunction-sections",
                "-c",
                name,
                "-o",
                f"{name}.obj",
            ],
            cwd=tmp_path,
            check=True,
        )
    (tmp_path / "image.ld").write_text(LD)
    objects = [f"{name}.obj" for name in files]
    subprocess.run(
        [
            "arm-none-eabi-gcc",
            "-mcpu=cortex-m4",
            "-mthumb",
            "-nostdlib",
            "-T",
            "image.ld",
            "-Wl,-e,reset,-Map=image.map",
            *objects,
            "-o",
            "image.elf",
        ],
        cwd=tmp_path,
        check=True,
    )
    sizes = measure(tmp_path / "image.elf")
    assert sum(sizes.groups.values()) == sizes.flash_bytes
    assert sizes.groups["model constants"] == sizes.model_bytes == 101
    assert sizes.groups["strings"] == len("a common text") + 1  # the other is its tail
    by_name = {symbol.name: symbol for symbol in (*sizes.functions, *sizes.constants)}
    assert {
        name: by_name[name].group for name in ("reset", "copy", "kernel", "layer", "model_params_0", "model_const_w")
    } == {
        "reset": "application",
        "copy": "application",
        "kernel": "kernels",
        "layer": "layers",
        "model_params_0": "layers",
        "model_const_w": "model constants",
    }
    assert sizes.groups["kernels"] >= by_name["kernel"].bytes and sizes.groups["layers"] >= by_name["layer"].bytes + 16
    assert 0 <= sizes.groups["padding"] < 16


def test_host_executable(tmp_path):
    compiler = shutil.which("cc") or pytest.skip("no host C compiler: apt-get install gcc")
    (tmp_path / "a.c").write_text(
        "const char model_const_w[64] = {1}; char arena[5000]; int main(int n, char **v) { return model_const_w[n] +"
        " arena[n]; }"
    )
    subprocess.run([compiler, "-O0", tmp_path / "a.c", "-o", tmp_path / "a"], check=True)
    sizes = measure(tmp_path / "a")
    assert (
        sizes.model_bytes == 64 and sizes.ram_bytes >= 5000 and any(symbol.name == "main" for symbol in sizes.functions)
    )


def test_errors_name_the_file(tmp_path):
    with pytest.raises(TinyflowError, match="no firmware at .*absent.elf"):
        measure(tmp_path / "absent.elf")
    (tmp_path / "text.elf").write_text("not an ELF file at all, but long enough to have a header")
    with pytest.raises(TinyflowError, match="text.elf is not an ELF file"):
        measure(tmp_path / "text.elf")
