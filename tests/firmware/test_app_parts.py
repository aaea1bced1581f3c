"""The app's small C files, on the host, against Python's own base64, zlib and json."""

import base64
import ctypes
import json
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyflow.artefacts import FIRMWARE
from tinyflow.reference.hostlib import build_host_library

PORT = """
#include "counting.h"
#include "port.h"
#include "reply.h"
static uint64_t now;
static char written[4096];
static size_t length;
uint64_t port_ticks(void) { return now += 7; }
void port_lock(void) {}
void port_unlock(void) {}
void port_write(const char *data, size_t size) {
  for (; size && length < sizeof written; size--) written[length++] = *data++;
}
const char *take(size_t *size) { *size = length; length = 0; return written; }
void set_ticks(uint64_t ticks) { now = ticks; }
uint64_t count_empty(void) { return counting_end(counting_begin()); }
"""
FIELDS = 8


class Field(ctypes.Structure):
    _fields_ = [("key", ctypes.c_char_p), ("string", ctypes.c_char_p), ("number", ctypes.c_uint32)]


class Request(ctypes.Structure):
    _fields_ = [("fields", Field * FIELDS), ("count", ctypes.c_int)]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    (folder / "port.c").write_text(PORT)
    (folder / "app_config.h").write_text('#define COUNTER_WIDTH_BITS 32\n#define COUNTER_NAME "test"\n')
    sources = [FIRMWARE / "app" / name for name in ("base64.c", "crc32.c", "request.c", "reply.c", "counting.c")] + [
        folder / "port.c"
    ]
    library = build_host_library(sources, [folder, FIRMWARE / "app", FIRMWARE / "port"], Path(folder) / "app.so")
    library.crc32.restype = ctypes.c_uint32
    for name in ("counting_elapsed", "count_empty", "counting_overhead"):
        getattr(library, name).restype = ctypes.c_uint64
    library.counting_elapsed.argtypes = [ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint]
    library.set_ticks.argtypes = [ctypes.c_uint64]
    library.reply_ticks.argtypes = [ctypes.c_char_p, ctypes.c_uint64]
    library.take.restype = ctypes.POINTER(ctypes.c_char)
    return library


def decode(app, text: bytes, capacity: int = 1024) -> bytes | None:
    buffer = ctypes.create_string_buffer(text)
    size = app.base64_decode(buffer, buffer, ctypes.c_size_t(capacity))
    return None if size < 0 else buffer.raw[:size]


def parse(app, line: bytes) -> dict | None:
    request, buffer = Request(), ctypes.create_string_buffer(line)
    if not app.request_parse(buffer, ctypes.byref(request)):
        return None
    return {
        field.key.decode(): field.number if field.string is None else field.string.decode()
        for field in request.fields[: request.count]
    }


@given(st.binary(max_size=700))
def test_crc32_is_zlibs(app, data):
    assert app.crc32(data, len(data)) == zlib.crc32(data)


@given(st.binary(max_size=700))
def test_base64_comes_back(app, data):
    assert decode(app, base64.b64encode(data)) == data
    assert data == b"" or decode(app, base64.b64encode(data), len(data) - 1) is None


@settings(max_examples=300)
@given(st.text("AZaz09+/=\n -", max_size=12))
def test_base64_is_strict(app, text):
    try:
        expected = base64.b64decode(text, validate=True)
        if base64.b64encode(expected).decode() != text:
            expected = None  # bits that encode nothing, not zero
    except ValueError:
        expected = None
    assert decode(app, text.encode()) == expected


plain = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\'), max_size=20)


@given(st.dictionaries(plain, plain | st.integers(0, 2**32 - 1), max_size=FIELDS), st.booleans())
def test_flat_objects_are_read_as_json_reads_them(app, value, spaces):
    line = json.dumps(value, separators=None if spaces else (",", ":"))
    assert parse(app, line.encode()) == value


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "}",
        "[]",
        "{}x",
        '{"a"}',
        '{"a":}',
        '{"a":1,}',
        '{"a":1 "b":2}',
        '{"a":-1}',
        '{"a":01}',
        '{"a":1.5}',
        '{"a":4294967296}',
        '{"a":99999999999999999999999}',
    ]
    + [
        '{"a":true}',
        '{"a":null}',
        '{"a":{}}',
        '{"a":[1]}',
        '{"a":"x}',
        '{"a":"\\n"}',
        '{"a":"\x01"}',
        '{"a":"\xe9"}',
        "{a:1}",
        "{'a':1}",
        '{"a":1}{"b":2}',
        '{"a":1,"a":2}',
    ]
    + ["{" + ",".join(f'"{i}":{i}' for i in range(9)) + "}"],
)
def test_anything_else_is_refused(app, line):
    assert parse(app, line.encode("latin-1")) is None


@settings(max_examples=500)
@given(st.binary(max_size=200).map(lambda data: data.replace(b"\0", b"?")))
def test_noise_never_parses_as_what_json_would_not(app, line):
    found = parse(app, line)
    assert found is None or json.loads(line) == found


@given(st.integers(0, 2**64 - 1))
def test_numbers_are_written_in_full(app, value):
    app.reply_ticks(b"n", value)
    size = ctypes.c_size_t()
    text = app.take(ctypes.byref(size))[: size.value]
    assert text == f',"n":{value}'.encode()


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_a_counter_that_wraps_once_still_counts(app, begin, ticks):
    assert app.counting_elapsed(begin, (begin + ticks) % 2**32, 32) == ticks
    assert app.counting_elapsed(2**64 - 1, 4, 64) == 5


def test_an_empty_count_is_calibrated_to_nothing_even_over_a_wrap(app):
    app.set_ticks(0)
    assert app.count_empty() == 7
    app.counting_calibrate()
    assert app.counting_overhead() == 7
    app.set_ticks(2**32 - 10)
    assert app.count_empty() == 0
