"""The recogniser's C on the host, without a network: its decisions against their twin in Python, its rings against
arithmetic.
"""

import ctypes
from types import SimpleNamespace

import numpy as np
import pytest

from tinyflow.artefacts import FIRMWARE
from tinyflow.compile.artefact import FrontEndPart, Port
from tinyflow.deploy.detector import Settings, detect, posteriors, powers, sample_of, write_constants
from tinyflow.recipe import AVERAGE_MOST, Listen
from tinyflow.reference.hostlib import build_host_library

WINDOW, HOP, MFCC, ROWS = 30, 10, 3, 5
SANITIZED = ("-fsanitize=undefined", "-fno-sanitize-recover=all")

# A front end whose rows say which samples they are of: first sample, number of the frame, number of samples.
FRONTEND = """
#include "frontend.h"
#include "frontend_config.h"
static int16_t first; static int frames; static size_t taken, wanted = FRONTEND_WINDOW;
void frontend_reset(void) { frames = 0; taken = 0; wanted = FRONTEND_WINDOW; }
size_t frontend_push(const int16_t *samples, size_t count, int8_t *features) {
  if (!frames && !taken) first = samples[0];
  taken += count;
  if (taken < wanted) return 0;
  features[0] = (int8_t)(first + frames * FRONTEND_HOP);
  features[1] = (int8_t)frames++;
  features[2] = (int8_t)samples[count - 1 - (taken - wanted)];
  taken -= wanted;
  wanted = FRONTEND_HOP;
  return 1;
}
"""
CONFIG = (
    f"#include <stdint.h>\n#define FRONTEND_WINDOW {WINDOW}\n#define FRONTEND_HOP {HOP}\n"
    f"#define FRONTEND_FEATURES {MFCC}\n#define FRONTEND_STEPS 1\n"
)


class CSettings(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint16) for name in ("every", "average", "threshold", "refractory")]


class CWord(ctypes.Structure):
    _fields_ = [("label", ctypes.c_uint32), ("score", ctypes.c_uint32), ("sample", ctypes.c_uint64)]


def model(labels: int, scale: float, zero_point: int) -> SimpleNamespace:
    """What the detector asks of a CompiledModel. The last label but one is silence, the last is unknown."""
    names = tuple(f"word{index}" for index in range(labels - 2)) + ("_silence_", "_unknown_")
    frontend = FrontEndPart(
        "made", "", "", sample_rate=1000, window=WINDOW, hop=HOP, features=MFCC, steps=(), config={}
    )
    return SimpleNamespace(
        name="m",
        labels=names,
        frontend=frontend,
        input=Port("x", (1, ROWS, MFCC, 1), "int8", 1.0, 0),
        output=Port("y", (1, labels), "int8", scale, zero_point),
    )


MODELS = {
    "softmax": model(4, 1 / 256, -128),
    "logits": model(12, 0.1454, -48),
    "coarse": model(3, 2.5, 7),
    "fine": model(35, 0.01, 0),
}


@pytest.fixture(scope="module", params=MODELS)
def built(request, tmp_path_factory):
    """(the model's facts, its C)."""
    compiled, folder = MODELS[request.param], tmp_path_factory.mktemp(request.param)
    (folder / "frontend_config.h").write_text(CONFIG)
    (folder / "stub.c").write_text(FRONTEND)
    write_constants(compiled, Listen(), folder)
    sources = [FIRMWARE / "listen" / "listen.c", folder / "listen_tables.c", folder / "stub.c"]
    library = build_host_library(
        sources, [folder, FIRMWARE / "listen", FIRMWARE / "frontend"], folder / "listen.so", SANITIZED
    )
    library.listen_samples.restype = ctypes.c_size_t
    library.listen_samples.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return compiled, library


def outputs(compiled, count: int, seed: int) -> np.ndarray:
    """int8 (count, labels): noise, in which a label stands out for a while, as a word does; the
    extremes and ties too.
    """
    rng = np.random.default_rng(seed)
    labels = compiled.output.elements
    values = rng.integers(-128, 40, (count, labels))
    at = 0
    while at < count:
        length, label = int(rng.integers(1, 12)), int(rng.integers(labels))
        values[at : at + length, label] = rng.integers(20, 128)
        if rng.random() < 0.1:
            values[at : at + length] = rng.choice([-128, 127, 0])
        at += length + int(rng.integers(0, 12))
    return values.clip(-128, 127).astype(np.int8)


def decide(library, settings: Settings, answers: np.ndarray) -> list[tuple[int, int, int]]:
    """(run, label, score) of every word that the C hears; its sample is checked on the way."""
    assert library.listen_begin(ctypes.byref(CSettings(**vars(settings))))
    hop = np.zeros(HOP, np.int16)
    words, heard, runs = [], CWord(), 0
    while runs < len(answers):
        assert library.listen_samples(hop.ctypes.data, HOP) == HOP
        if not library.listen_due():
            continue
        if library.listen_output(
            np.ascontiguousarray(answers[runs]).ctypes.data_as(ctypes.c_void_p), ctypes.byref(heard)
        ):
            assert heard.sample == (library.listen_frames() - 1) * HOP + WINDOW
            words.append((runs, heard.label, heard.score, heard.sample))
        runs += 1
    return words


@pytest.mark.parametrize(
    "listen",
    [
        Listen(),
        Listen(every=1, average=1, threshold=0.01, refractory_ms=0),
        Listen(every=1, average=1, threshold=1.0, refractory_ms=0),
        Listen(every=1, average=AVERAGE_MOST, threshold=0.3, refractory_ms=30),
        Listen(every=7, average=5, threshold=0.04, refractory_ms=205),
        Listen(every=3, average=2, threshold=0.5, refractory_ms=60_000),
        Listen(every=50, average=3, threshold=0.25, refractory_ms=1000),
    ],
    ids=str,
)
def test_the_c_decides_as_its_twin_in_python(built, listen):
    compiled, library = built
    answers = outputs(compiled, 1500, seed=listen.every)
    ours = decide(library, Settings.of(listen, compiled), answers)
    twin = [
        (word.run, word.label, word.score, sample_of(word.run, compiled, listen))
        for word in detect(answers, compiled, listen)
    ]
    assert ours == twin
    assert all(label < compiled.output.elements - 2 for _, label, _, _ in ours)  # neither silence nor unknown
    if listen.threshold < 0.05:
        assert len(ours) > 10  # a test that hears nothing proves nothing
    again = decide(library, Settings.of(listen, compiled), answers)
    assert again == ours  # listen_begin forgets all


@pytest.mark.parametrize("name", MODELS)
def test_posteriors_are_those_of_a_softmax(name):
    """Within a step of 1/256 of the real ones, and each a byte."""
    compiled = MODELS[name]
    answers = outputs(compiled, 300, seed=3)
    found = posteriors(answers, compiled)
    assert found.min() >= 0 and found.max() <= 255
    if name == "softmax":
        np.testing.assert_array_equal(found, answers.astype(int) + 128)
        return
    real = np.exp((answers.astype(float) - answers.max(axis=1, keepdims=True)) * compiled.output.scale)
    np.testing.assert_allclose(found, 256 * real / real.sum(axis=1, keepdims=True), atol=1.01)
    assert powers(compiled.output.scale)[0] == 65535 and 1 <= len(powers(compiled.output.scale)) <= 256


def test_ignored_labels_are_not_heard():
    compiled = MODELS["logits"]
    answers = np.full((10, 12), -100, np.int8)
    answers[:, 3] = 100
    assert [word.label for word in detect(answers, compiled, Listen())] == [3]
    assert detect(answers, compiled, Listen(ignore=("word3",))) == []


def test_rows_wrap_and_pieces_of_any_size_give_the_same_rows(built):
    compiled, library = built
    rng = np.random.default_rng(4)
    samples = np.arange(2000, dtype=np.int16)
    for every in (1, 2, 4, 5, 7):
        # frames at which the network runs
        expected = [ROWS + every * run for run in range(((2000 - WINDOW) // HOP + 1 - ROWS) // every + 1)]
        for largest in (1, 3, HOP - 1, HOP, HOP + 1, WINDOW, 777):
            assert library.listen_begin(ctypes.byref(CSettings(every, 1, 256, 0)))
            at, due = 0, []
            while at < len(samples):
                piece = np.ascontiguousarray(samples[at : at + int(rng.integers(1, largest + 1))])
                taken = library.listen_samples(piece.ctypes.data, len(piece))
                assert taken == min(len(piece), HOP)
                at += taken
                if library.listen_due():
                    frames = library.listen_frames()
                    row = np.empty((ROWS, MFCC), np.int8)
                    library.listen_input(row.ctypes.data_as(ctypes.c_void_p))
                    newest = np.arange(frames - ROWS, frames)
                    np.testing.assert_array_equal(
                        row, np.stack([newest * HOP, newest, newest * HOP + WINDOW - 1], axis=1).astype(np.int8)
                    )
                    due.append(frames)
            assert due == expected


@pytest.mark.parametrize(
    "wrong", [(0, 1, 1, 0), (1, 0, 1, 0), (1, AVERAGE_MOST + 1, 1, 0), (1, 1, 0, 0), (1, 1, 257, 0)]
)
def test_settings_out_of_range_are_refused(built, wrong):
    _, library = built
    assert not library.listen_begin(ctypes.byref(CSettings(*wrong)))
