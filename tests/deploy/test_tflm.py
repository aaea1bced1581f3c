"""TFLM_ROOT: which library is taken, and what is said where there is none."""

import shutil

import pytest
from tflm_roots import CROSS_CXX, cross_cxx, installed, mangled, without_download

from tinyflow.board import load_board
from tinyflow.deploy.tflm.archive import Archive
from tinyflow.deploy.tflm.library import LIBRARY, check_compiler, find_tflm, libraries
from tinyflow.errors import TinyflowError

cross = pytest.mark.skipif(not cross_cxx(), reason=CROSS_CXX)
BOARD = load_board("mps2-an386")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("TFLM_ROOT", str(tmp_path))
    return tmp_path


def refused(board=BOARD) -> TinyflowError:
    with pytest.raises(TinyflowError) as caught:
        find_tflm(board)
    return caught.value


def test_what_is_missing_is_said(root, monkeypatch):
    error = refused()
    assert f"no gen/cortex_m_generic_*/lib/{LIBRARY} lies below it" in error.message
    assert (
        "make -f tensorflow/lite/micro/tools/make/Makefile TARGET=cortex_m_generic TARGET_ARCH=cortex-m4+fp"
        in error.hint
    )
    monkeypatch.setenv("TFLM_ROOT", str(root / "gone"))
    assert "gone, which is not a folder" in refused().message
    monkeypatch.delenv("TFLM_ROOT")
    assert "TFLM_ROOT is not set" in refused().message and "docs/tflm.md" in refused().hint


def test_a_board_that_tflm_does_not_know(root):
    assert "--compare aot,tflm" in refused(load_board("host")).hint


@cross
def test_the_best_library_of_the_core_is_taken(root):
    installed(
        root,
        "cortex-m4+fp_debug",
        "cortex-m4+fp_release",
        "cortex-m4+fp_default_cmsis_nn",
        "cortex-m4+fp_release_cmsis_nn",
        "cortex-m3_release",
    )
    assert [(item.arch, item.build, item.cmsis_nn) for item in libraries()] == [
        ("cortex-m4+fp", "release", True),
        ("cortex-m4+fp", "default", True),
        ("cortex-m3", "release", False),
        ("cortex-m4+fp", "release", False),
        ("cortex-m4+fp", "debug", False),
    ]
    found = find_tflm(BOARD)
    assert str(found) == "TFLM with CMSIS-NN kernels (cortex-m4+fp, release)" and found.defines == ("CMSIS_NN",)
    assert find_tflm(load_board("mps2-an385")).cmsis_nn is False
    error = refused(load_board("mps2-an505"))
    assert (
        "has libtensorflow-microlite.a for cortex-m3, cortex-m4+fp; board mps2-an505 needs cortex-m33" in error.message
    )
    assert "TARGET_ARCH=cortex-m33 " in error.hint


@cross
def test_the_fingerprint_is_of_library_and_headers(root):
    before = find_tflm_fresh(root, "cortex-m3_release").fingerprint()
    assert find_tflm(load_board("mps2-an385")).fingerprint() == before
    (root / "tensorflow/lite/micro/micro_interpreter.h").write_text("// another version\n")
    assert find_tflm(load_board("mps2-an385")).fingerprint() != before


def find_tflm_fresh(root, build):
    installed(root, build)
    return find_tflm(load_board("mps2-an385"))


@cross
def test_a_library_without_int8_registrations_needs_no_define(root):
    installed(root, "cortex-m4+fp_release", functions=("CONV_2D",))
    assert find_tflm(BOARD).defines == ()


@cross
@pytest.mark.parametrize("download", ["flatbuffers", "gemmlowp", "ruy"])
def test_headers_that_are_absent_are_named(root, download):
    without_download(installed(root, "cortex-m4+fp_release"), download)
    error = refused()
    assert (
        f"downloads/{download}" in error.message
        and "is absent" in error.message
        and "third_party_downloads" in error.hint
    )


@cross
@pytest.mark.skipif(not shutil.which("ar") or not shutil.which("cc"), reason="needs cc and ar")
def test_a_library_of_another_machine_is_refused(root):
    installed(root, "cortex-m4+fp_release", compiler="cc", archiver="ar")
    error = refused()
    assert (
        "was built for" in error.message
        and "firmware is built by arm-none-eabi-gcc" in error.message
        and "TOOLCHAIN=gcc" in error.hint
    )


@cross
def test_a_library_of_another_compiler_is_refused(root):
    """Its objects say who made them; arm-none-eabi-objcopy makes them say something else."""
    import subprocess

    installed(root, "cortex-m4+fp_release")
    (root / "comment").write_bytes(b"Component: Arm Compiler for Embedded 6.22\0")
    library = next(root.glob(f"gen/*/lib/{LIBRARY}"))
    subprocess.run(
        ["arm-none-eabi-objcopy", "--update-section", ".comment=comment", "registrations.o"], cwd=root, check=True
    )
    library.unlink()
    subprocess.run(["arm-none-eabi-ar", "rcs", str(library), "registrations.o"], cwd=root, check=True)
    assert "by Component: Arm Compiler for Embedded 6.22" in refused().message


def test_without_a_cpp_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TinyflowError, match="arm-none-eabi-g\\+\\+ is not installed") as caught:
        check_compiler()
    assert "libstdc++-arm-none-eabi-newlib" in caught.value.hint
    (tmp_path / "arm-none-eabi-g++").write_text("#!/bin/sh\necho libstdc++.a\n")
    (tmp_path / "arm-none-eabi-g++").chmod(0o755)
    with pytest.raises(TinyflowError, match="has no C\\+\\+ library"):
        check_compiler()


@cross
def test_an_archive_says_what_it_holds(tmp_path):
    archive = Archive(next(installed(tmp_path, "cortex-m3_release").glob(f"gen/*/lib/{LIBRARY}")))
    assert (
        mangled("Register_CONV_2D") in archive.symbols
        and archive.defines("Register_CONV_2D")
        and not archive.defines("CONV_2D")
    )
    assert archive.machine == "EM_ARM" and archive.compiler.startswith("GCC: ")


@pytest.mark.parametrize("content", [b"", b"!<arch>\nsomething", b"\x7fELF" + bytes(100)])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "x.a").write_bytes(content)
    with pytest.raises(TinyflowError, match="is not a static library"):
        Archive(tmp_path / "x.a")
