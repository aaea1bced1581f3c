"""The host's C compiler behind one function."""

import ctypes

import pytest

from tinyflow.errors import TinyflowError
from tinyflow.reference.hostlib import build_host_library


def test_builds_and_calls(tmp_path):
    (tmp_path / "inc").mkdir()
    (tmp_path / "inc" / "twice.h").write_text("int twice(int value);\n")
    (tmp_path / "twice.c").write_text('#include "twice.h"\nint twice(int value) { return 2 * value; }\n')
    library = build_host_library([tmp_path / "twice.c"], [tmp_path / "inc"], tmp_path / "twice.so")
    assert library.twice(21) == 42
    assert [path.name for path in tmp_path.glob("*.so")] == ["twice.so"]


def test_products_are_not_fused(tmp_path):
    """a*b + c where one rounding and two differ: the contract that host and device share."""
    (tmp_path / "f.c").write_text("float f(float a, float b, float c) { return a * b + c; }\n")
    function = build_host_library([tmp_path / "f.c"], [], tmp_path / "f.so", flags=("-O3",)).f
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float] * 3
    a = 1 + 2.0**-12
    assert function(a, a, -(1 + 2.0**-11)) == 0.0  # fused: 2**-24


def test_warnings_are_errors(tmp_path):
    (tmp_path / "bad.c").write_text("int f(void) { int unused; return 0; }\n")
    with pytest.raises(TinyflowError, match="unused"):
        build_host_library([tmp_path / "bad.c"], [], tmp_path / "bad.so")
    assert not list(tmp_path.glob("*.so"))


def test_missing_source(tmp_path):
    with pytest.raises(TinyflowError, match="absent.c does not exist"):
        build_host_library([tmp_path / "absent.c"], [], tmp_path / "x.so")


def test_no_compiler(tmp_path, monkeypatch):
    (tmp_path / "a.c").write_text("int a;\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CC", "no-such-cc")
    with pytest.raises(TinyflowError, match="no host C compiler.*no-such-cc") as error:
        build_host_library([tmp_path / "a.c"], [], tmp_path / "x.so")
    assert "apt-get install" in error.value.hint
