"""The exported folder, built far from the repository by other people's means, answers as the reference does."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from keyword_model import LABELS, keyword_model
from mlperf_tiny import ds_cnn

from tinyflow.compile.foreign import compile_tflite
from tinyflow.deploy import export as export_stage
from tinyflow.deploy.export import MARK, export
from tinyflow.errors import TinyflowError
from tinyflow.frontend.host import HostFrontend
from tinyflow.reference import oracle

WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"]
ARM = "arm-none-eabi-gcc"
CORES = {
    "m4": ["-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"],
    "m0plus": ["-mcpu=cortex-m0plus"],
    "m55": ["-mcpu=cortex-m55", "-mfloat-abi=hard"],
}


def done(command, folder: Path, **options) -> str:
    result = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def speaking(tmp_path_factory):
    """(CompiledModel with a front end, its exported folder, what export said)."""
    folder = tmp_path_factory.mktemp("speaking")
    compiled = keyword_model(folder / "compile")
    return compiled, folder / "out", export(compiled, folder / "out")


@pytest.fixture(scope="module")
def integers(speaking, tmp_path_factory):
    """The same with its front end in integers."""
    folder = tmp_path_factory.mktemp("integers") / "out"
    return speaking[0], folder, export(speaking[0], folder, fixed=True)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    folder = tmp_path_factory.mktemp("foreign")
    (folder / "ds_cnn.tflite").write_bytes(ds_cnn())
    compiled = compile_tflite(folder / "ds_cnn.tflite", folder / "compile")
    return compiled, folder / "out", export(compiled, folder / "out")


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    rng = np.random.default_rng(3)
    return (
        (rng.normal(0, 2000, 16000) + 6000 * np.sin(np.arange(16000) ** 1.3 / 40)).clip(-32768, 32767).astype(np.int16)
    )


def sources(folder: Path, example: bool = False) -> list[str]:
    return sorted(path.name for path in folder.glob("*.c") if example or path.name != "main.c")


def answers(output: str) -> tuple[list[int], list[str]]:
    rows = [line.split(" ", 2) for line in output.splitlines()]
    assert [int(row[0]) for row in rows] == list(range(len(rows)))
    return [int(row[1]) for row in rows], [row[2] for row in rows]


def expected(compiled, clip: np.ndarray, fixed: bool = False) -> list[int]:
    """tflite_micro's answer to the clip's features."""
    features = HostFrontend(compiled.c, fixed=fixed).features(clip[None])
    return oracle.invoke(compiled.tflite, features.reshape(1, *compiled.input.shape[1:])).ravel().tolist()


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["-O1", *WARNINGS, "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
        ["-O3", "-ffp-contract=fast", "-march=native"],
    ],
    ids=" ".join,
)
def test_bare_compiler(speaking, foreign, clip, tmp_path, flags):
    """`cc *.c`, no library, whatever the flags: the answer stays."""
    compiler = shutil.which("cc") or pytest.skip("no host C compiler: apt-get install gcc")
    compiled, folder, _ = speaking
    done([compiler, *flags, *sources(folder, example=True), "-o", tmp_path / "speaking"], folder)
    clip.tofile(tmp_path / "clip.raw")
    assert answers(done([tmp_path / "speaking", "clip.raw"], tmp_path)) == (expected(compiled, clip), list(LABELS))
    with open(tmp_path / "clip.raw") as file:
        assert answers(done([tmp_path / "speaking", "/dev/stdin"], tmp_path, stdin=file))[0] == expected(compiled, clip)
    tone = np.where(np.arange(16000) * 880 // 16000 % 2, 4000, -4000).astype(np.int16)
    assert answers(done([tmp_path / "speaking"], tmp_path))[0] == expected(compiled, tone)

    compiled, folder, _ = foreign
    done([compiler, *flags, *sources(folder, example=True), "-o", tmp_path / "foreign"], folder)
    x = np.random.default_rng(0).integers(-128, 128, compiled.input.shape).astype(np.int8)
    x.tofile(tmp_path / "x.raw")
    assert (
        answers(done([tmp_path / "foreign", "x.raw"], tmp_path))[0]
        == oracle.invoke(compiled.tflite, x).ravel().tolist()
    )


@pytest.mark.skipif(not shutil.which("clang"), reason="no clang: apt-get install clang")
def test_clang(speaking, clip, tmp_path):
    compiled, folder, _ = speaking
    done(
        ["clang", "-O2", "-ffp-contract=fast", *WARNINGS, *sources(folder, example=True), "-o", tmp_path / "speaking"],
        folder,
    )
    clip.tofile(tmp_path / "clip.raw")
    assert answers(done([tmp_path / "speaking", "clip.raw"], tmp_path))[0] == expected(compiled, clip)


def test_front_end_in_integers(integers, clip, tmp_path):
    compiler = shutil.which("cc") or pytest.skip("no host C compiler: apt-get install gcc")
    compiled, folder, said = integers
    done([compiler, "-O2", *WARNINGS, *sources(folder, example=True), "-o", tmp_path / "integers"], folder)
    clip.tofile(tmp_path / "clip.raw")
    assert answers(done([tmp_path / "integers", "clip.raw"], tmp_path))[0] == expected(compiled, clip, fixed=True)
    assert "fp.h" not in said.files and "integers" in (folder / "README.md").read_text()
    for path in folder.glob("*.c"):
        assert (
            not re.search(r"\bfloat\b", re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL))
            or path.name == "tinyflow.c"
        ), path.name


@pytest.mark.skipif(not shutil.which(ARM), reason=f"no {ARM}: apt-get install gcc-arm-none-eabi")
@pytest.mark.parametrize("core", CORES)
def test_cross_compiler(speaking, integers, foreign, tmp_path, core):
    """Programs for every core at the optimisations of debug and release builds; all of them where the assembly is."""
    levels = {
        "m4": (["-O0", "-std=gnu11"], ["-Og"], ["-O2", *WARNINGS], ["-Os"], ["-O3"]),
        "m0plus": (["-O2", *WARNINGS], ["-Os"]),
        "m55": (["-O0"], ["-O2", *WARNINGS], ["-O3"]),
    }
    for _, folder, _ in (speaking, integers, foreign):
        for flags in levels[core]:
            done(
                [
                    ARM,
                    "-mthumb",
                    *CORES[core],
                    *flags,
                    "-Wall",
                    "-Wextra",
                    "-Werror",
                    "--specs=nosys.specs",
                    "-Wl,--no-warnings",
                    "-Wl,--gc-sections",
                    *sources(folder, example=True),
                    "-o",
                    tmp_path / "a.elf",
                ],
                folder,
            )


@pytest.mark.skipif(not shutil.which(ARM), reason=f"no {ARM}: apt-get install gcc-arm-none-eabi")
def test_no_flag_fuses_floats(speaking, tmp_path):
    """On a core with fused multiply-add the code is that of -ffp-contract=off; without fp.h it is not."""
    _, folder, _ = speaking

    def code(source: Path, *flags: str) -> str:
        done(
            [ARM, "-mthumb", *CORES["m4"], "-O2", *flags, "-I", folder, "-c", source, "-o", tmp_path / "one.o"], folder
        )
        return done(["arm-none-eabi-objdump", "-d", tmp_path / "one.o"], tmp_path)

    computing = [
        folder / name  # mel.h includes fp.h
        for name in sources(folder)
        if re.search(r'#include "(fp|fpu|mel)\.h"', (folder / name).read_text())
    ]
    assert len(computing) >= 3
    for source in computing:
        for flags in ([], ["-DTINYFLOW_PORTABLE"]):
            assert (
                code(source, *flags, "-ffp-contract=fast")
                == code(source, *flags)
                == code(source, *flags, "-ffp-contract=off")
            )
    (tmp_path / "bare.c").write_text("float f(float a, float b, float c) { return a * b + c; }")
    assert code(tmp_path / "bare.c", "-ffp-contract=fast") != code(tmp_path / "bare.c", "-ffp-contract=off")
    for path in folder.glob("*.c"):  # who computes with floats includes it
        text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
        assert (
            not re.search(r"\bfloat\b", text) or path in computing or path.name in ("frontend_tables.c", "tinyflow.c")
        ), path.name


def test_fmaf_rounds_once(tmp_path):
    """fp.h's fmaf on a machine without the instruction, against the C library's."""
    compiler = shutil.which("cc") or pytest.skip("no host C compiler: apt-get install gcc")
    (tmp_path / "fma.c").write_text(r"""
#include "fp.h"
#undef fmaf
#include <math.h>
#include <stdio.h>
static uint64_t state = 88172645463325252u;
static uint32_t draw(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 16);
}
static float number(uint32_t exponents) { /* any sign and fraction, exponents near each other */
  uint32_t bits = draw();
  bits = (bits & 0x807fffffu) | (127 - exponents / 2 + (bits >> 23) % exponents) << 23;
  float value; memcpy(&value, &bits, sizeof value); return value;
}
int main(void) {
  long different = 0, twice = 0;
  for (long i = 0; i < 3000000; i++) {
    float a = number(4), b = number(4), c = i % 3 ? number(i % 2 ? 64 : 8) : -a * b;
    if (i % 4 == 0) {
      /* a product half-way between two floats, and what tips the scale is too small for a double's sum */
      a = 1 + (float)(draw() % 1024 | 1) / 4096, b = 1 + (float)(draw() % 1024 | 1) / 4096, c = number(4) * 0x1p-60f;
    }
    different += exact_fmaf(a, b, c) != fmaf(a, b, c);
    twice += (float)((double)a * b + c) != fmaf(a, b, c);
  }
  printf("%ld %ld\n", different, twice);
}
""")
    frontend = Path(export_stage.FIRMWARE) / "frontend"
    done([compiler, "-std=c99", "-O2", "-I", frontend, "fma.c", "-o", "fma", "-lm"], tmp_path)
    different, twice = map(int, done(["./fma"], tmp_path).split())
    assert different == 0
    assert twice > 0  # rounding through double alone would have been seen


@pytest.mark.parametrize("compiler", ["cc", ARM])
def test_global_names(speaking, integers, foreign, tmp_path, compiler):
    """For the host, and as a Cortex-M4F sees it: assembly too."""
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}: apt-get install gcc gcc-arm-none-eabi")
    for index, (_, folder, _) in enumerate((speaking, integers, foreign)):
        objects = tmp_path / str(index)
        objects.mkdir()
        done(
            [
                compiler,
                *(CORES["m4"] + ["-mthumb"] if compiler == ARM else []),
                "-O2",
                "-c",
                "-I",
                folder,
                *(folder / name for name in sources(folder)),
            ],
            objects,
        )
        names = re.findall(
            r" [TDBRCVW] (\w+)$",
            done([compiler.replace("gcc", "nm") if compiler == ARM else "nm", *sorted(objects.glob("*.o"))], objects),
            re.MULTILINE,
        )
        assert len(names) > 15 and [name for name in names if not name.startswith("tinyflow_")] == []


STREAM = r"""
#include <stdio.h>
#include "tinyflow.h"
static int16_t sound[3 * TINYFLOW_CLIP_SAMPLES];
int main(void) { /* in pieces of 1 to 777 samples; after each, the answer from the frames so far */
  size_t total = fread(sound, sizeof *sound, 3 * TINYFLOW_CLIP_SAMPLES, stdin), at = 0, frames = 0;
  tinyflow_init();
  tinyflow_stream_reset();
  for (size_t piece = 1; at < total; at += piece, piece = piece * 31 % 778 + 1) {
    if (piece > total - at) piece = total - at;
    frames += (size_t)tinyflow_stream_push(sound + at, piece);
    int best = tinyflow_stream_classify();
    printf("%d %d", (int)frames, best);
    for (int i = 0; best >= 0 && i < TINYFLOW_OUTPUT_BYTES; i++) printf(" %d", tinyflow_output()[i]);
    printf("\n");
  }
}
"""


def test_streaming_equals_whole_clips(speaking, tmp_path):
    compiler = shutil.which("cc") or pytest.skip("no host C compiler: apt-get install gcc")
    compiled, folder, _ = speaking
    rng = np.random.default_rng(8)
    sound = (rng.normal(0, 1, 40000) * np.abs(np.sin(np.arange(40000) / 4000)) * 9000).astype(np.int16)
    (tmp_path / "stream.c").write_text(STREAM)
    # the example's main is weak: this one takes its place
    done(
        [
            compiler,
            "-O1",
            "-I",
            folder,
            *(folder / name for name in sources(folder, example=True)),
            "stream.c",
            "-o",
            "stream",
        ],
        tmp_path,
    )
    sound.tofile(tmp_path / "sound.raw")
    with open(tmp_path / "sound.raw") as file:
        rows = [[int(word) for word in line.split()] for line in done(["./stream"], tmp_path, stdin=file).splitlines()]
    window, hop, clip = 640, 320, 16000
    assert rows[-1][0] == 1 + (len(sound) - window) // hop
    checked = set()
    for frames, best, *scores in rows:
        if frames < 49:
            assert best == -1
        elif frames not in checked and frames % 6 == 0:
            checked.add(frames)
            heard = sound[(frames - 49) * hop :][:clip]
            assert scores == expected(compiled, heard) and best == int(np.argmax(scores))
    assert len(checked) >= 5


USER = (
    '#include <stdio.h>\n#include "tinyflow.h"\nint main(void) { tinyflow_init(); printf("%d\\n",'
    " tinyflow_classify((const int16_t[TINYFLOW_CLIP_SAMPLES]){0})); return 0; }\n"
)


cmake = pytest.mark.skipif(not shutil.which("cmake"), reason="needs cmake: make setup")


def made_by_cmake(source: Path, build: Path, *settings: str) -> None:
    build.mkdir()
    done(["cmake", "-S", source, "-B", build, *settings], build)
    done(["cmake", "--build", build], build)


@cmake
def test_cmake(speaking, clip, tmp_path):
    """Alone, and as a folder of somebody's project."""
    compiled, folder, _ = speaking
    made_by_cmake(folder, tmp_path / "alone")
    clip.tofile(tmp_path / "clip.raw")
    assert answers(done([tmp_path / "alone/tinyflow_example", "clip.raw"], tmp_path))[0] == expected(compiled, clip)

    shutil.copytree(folder, tmp_path / "project/third_party/words")
    (tmp_path / "project/main.c").write_text(USER)
    (tmp_path / "project/CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.13)\nproject(mine"
        " C)\nadd_subdirectory(third_party/words)\nadd_executable(mine main.c)\ntarget_link_libraries(mine tinyflow)\n"
    )
    made_by_cmake(tmp_path / "project", tmp_path / "build")
    assert int(done([tmp_path / "build/mine"], tmp_path)) == int(
        np.argmax(expected(compiled, np.zeros(16000, np.int16)))
    )


ZEPHYR = """cmake_minimum_required(VERSION 3.20)
project(stand_in C)
# Zephyr's functions, as far as a module's CMakeLists.txt sees them (zephyr/cmake/modules/extensions.cmake)
function(zephyr_library_named name)
  add_library(${name} STATIC)
  set(ZEPHYR_CURRENT_LIBRARY ${name} PARENT_SCOPE)
endfunction()
function(zephyr_library_sources)
  target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endfunction()
function(zephyr_library_compile_options)
  target_compile_options(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endfunction()
function(zephyr_include_directories)
  include_directories(${ARGN})
  target_include_directories(app PRIVATE ${ARGN})
endfunction()
add_executable(app main.c)
add_subdirectory(MODULE module)
if(CONFIG_TINYFLOW)
  target_link_libraries(app tinyflow)
endif()
"""


@cmake
def test_zephyr_module(speaking, tmp_path):
    """Without Zephyr: its module.yml read as Zephyr's schema has it, Kconfig by its grammar, and CMakeLists.txt run
    with stand-ins.
    """
    import yaml

    compiled, folder, _ = speaking
    module = yaml.safe_load((folder / "zephyr/module.yml").read_text())
    # of the schema in scripts/zephyr_module.py
    assert set(module) <= {"name", "build"} and set(module["build"]) <= {
        "cmake",
        "kconfig",
    }
    assert (folder / module["build"]["cmake"] / "CMakeLists.txt").is_file() and (
        folder / module["build"]["kconfig"]
    ).is_file()
    kconfig = [
        line for line in (folder / "zephyr/Kconfig").read_text().splitlines() if line and not line.startswith("#")
    ]
    assert kconfig[0] == "config TINYFLOW" and kconfig[1].startswith('\tbool "') and kconfig[2] == "\thelp"
    assert all(line.startswith("\t  ") for line in kconfig[3:])

    (tmp_path / "main.c").write_text(USER)
    (tmp_path / "CMakeLists.txt").write_text(ZEPHYR.replace("MODULE", str(folder / module["build"]["cmake"])))
    made_by_cmake(tmp_path, tmp_path / "build", "-DCONFIG_TINYFLOW=y")
    assert int(done([tmp_path / "build/app"], tmp_path)) == int(
        np.argmax(expected(compiled, np.zeros(16000, np.int16)))
    )
    assert "main.c.o" not in done(["ar", "t", tmp_path / "build/module/libtinyflow.a"], tmp_path)


def test_platformio_library(speaking, foreign):
    for _compiled, folder, _ in (speaking, foreign):
        library = json.loads((folder / "library.json").read_text())
        assert (
            re.fullmatch(r"[a-z0-9-]+", library["name"])
            and re.fullmatch(r"\d+\.\d+\.\d+", library["version"])
            and library["license"] == "Apache-2.0"
        )
        assert library["build"]["srcFilter"] == ["+<*.c>", "-<main.c>"] and (folder / library["headers"]).is_file()


def test_what_is_in_it(speaking, foreign):
    compiled, folder, said = speaking
    other, bare, said_bare = foreign
    assert sorted(said.files) == sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    assert (
        said.frontend
        and not said_bare.frontend
        and not list(bare.glob("frontend*"))
        and not (bare / "tinyflow_audio.c").exists()
    )
    calls = set(re.findall(r"tinyflow_(\w+_s8)\(", (bare / "model.c").read_text()))
    assert calls and calls <= set(said_bare.kernels) and "add_s8" not in said_bare.kernels
    assert (folder / "LICENSE").read_bytes() == (Path(export_stage.FIRMWARE).parent / "LICENSE").read_bytes()
    for path in folder.glob("*.[ch]"):
        assert path.read_text().startswith("/* SPDX-License-Identifier: Apache-2.0 */"), path.name
        for name in re.findall(r'#include "([^"]+)"', path.read_text()):
            assert (folder / name).is_file(), (path.name, name)
    config = (folder / "tinyflow_config.h").read_text()
    assert (
        "#define TINYFLOW_CLIP_SAMPLES 16000 " in config
        and "#define TINYFLOW_FRAMES 49 " in config
        and '"_silence_"' in config
    )
    readme = (folder / "README.md").read_text()
    assert (
        f"{compiled.arena_bytes:,} B of RAM" in readme
        and "tinyflow_stream_push" in readme
        and "{" not in readme.replace("{0}", "")
    )
    assert "memcpy(tinyflow_input()" in (bare / "README.md").read_text()
    everything = "".join(path.read_text() for path in folder.rglob("*") if path.is_file())
    assert str(Path(export_stage.FIRMWARE).parent) not in everything and str(compiled.folder) not in everything


def test_equal_models_give_equal_folders(speaking, tmp_path):
    compiled, folder, said = speaking
    export(compiled, tmp_path / "again")
    assert all((tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes() for name in said.files)


def test_replaces_only_what_it_wrote(foreign, tmp_path, monkeypatch):
    compiled = foreign[0]
    out = tmp_path / "out"
    export(compiled, out)
    export(compiled, out)  # its own, unchanged
    (out / "mine.c").write_text("int mine;")
    with pytest.raises(TinyflowError, match="added or changed since its export: mine.c") as error:
        export(compiled, out)
    assert "--force" in error.value.hint and (out / "mine.c").is_file()
    export(compiled, out, force=True)
    assert not (out / "mine.c").exists()
    (out / "main.c").write_text("int main(void) { return 0; }\n")
    with pytest.raises(TinyflowError, match="added or changed since its export: main.c"):
        export(compiled, out)

    (tmp_path / "theirs").mkdir()
    export(compiled, tmp_path / "theirs")  # an empty folder is free
    (tmp_path / "theirs" / MARK).unlink()
    with pytest.raises(TinyflowError, match="was not written by tinyflow export"):
        export(compiled, tmp_path / "theirs")
    (tmp_path / "file").write_text("")
    with pytest.raises(TinyflowError, match="is a file"):
        export(compiled, tmp_path / "file", force=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TinyflowError, match="the folder you are in"):
        export(compiled, ".", force=True)


def test_nothing_half_written_stays(foreign, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    compiled = foreign[0]
    export(compiled, tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    monkeypatch.setattr(export_stage, "write_json", fail)
    for out in ("out", "other"):
        with pytest.raises(OSError):
            export(compiled, tmp_path / out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_command(tmp_path):
    (tmp_path / "net.tflite").write_bytes(ds_cnn())
    command = [sys.executable, "-m", "tinyflow.cli", "export", "--tflite", "net.tflite", "--out", "sub/net", "--json"]
    result = json.loads(done(command, tmp_path))
    assert result["folder"] == str(tmp_path / "sub/net") and (tmp_path / "sub/net/tinyflow.h").is_file()
    (tmp_path / "sub/net/notes.txt").write_text("mine")
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 1 and "notes.txt" in json.loads(refused.stdout)["error"]
