"""Continuous recognition on running firmware: the same features, the same answers and the same
words as clip by clip.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from keyword_model import keyword_model
from targets import met, on

from tinyflow.board import load_board
from tinyflow.deploy.answers import Listened
from tinyflow.deploy.build import build
from tinyflow.deploy.console import CommandError
from tinyflow.deploy.detector import Settings, detect, sample_of
from tinyflow.deploy.device import connect
from tinyflow.deploy.listen import begin, listen_microphone, listen_to, read_long, until_interrupted
from tinyflow.errors import TinyflowError
from tinyflow.frontend.host import HostFrontend
from tinyflow.recipe import Listen
from tinyflow.reference import oracle
from tinyflow.results import to_json

RATE = 16000
# random weights are never sure
EAGER = Listen(every=3, average=2, threshold=0.3, refractory_ms=200, ignore=("unknown",))
FIXED = pytest.mark.parametrize("speaking_built", [pytest.param("mps2-an385", marks=pytest.mark.qemu)], indirect=True)


@pytest.fixture(scope="module")
def audio(clips) -> np.ndarray:
    """Clips, noise and digital silence: int16, 2.2 s."""
    rng = np.random.default_rng(8)
    return np.concatenate([clips[0], np.zeros(1600, np.int16), clips[1], rng.integers(-900, 900, 1600, dtype=np.int16)])


@pytest.fixture(scope="module")
def at_host(tmp_path_factory, speaking_model):
    board = load_board("host")
    return SimpleNamespace(
        compiled=speaking_model,
        board=board,
        firmware=build(speaking_model, board, tmp_path_factory.mktemp("host") / "out", listen=EAGER),
    )


def expected(built, audio: np.ndarray, listen: Listen) -> np.ndarray:
    """int8 (runs, labels): tflite_micro on the host front end's features of every window."""
    features = HostFrontend(built.compiled.c, fixed=not built.board.core.fpu).features(audio[None])[0]
    rows = built.compiled.input.elements // features.shape[1]
    windows = np.stack([features[at : at + rows] for at in range(0, len(features) - rows + 1, listen.every)])
    return oracle.invoke(built.compiled.tflite, windows[..., None]).reshape(len(windows), -1)


def padded(built, audio: np.ndarray) -> np.ndarray:
    return np.concatenate([audio, np.zeros(RATE, np.int16)])


def check_words(built, audio: np.ndarray, listen: Listen, on_word=None) -> Listened:
    """The words that the board hears are those of tflite_micro's answers, as Python detects them."""
    said = listen_to(on(built.firmware, built.board, built.compiled), audio, listen, on_word=on_word)
    answers = expected(built, padded(built, audio), listen)
    words = [
        (built.compiled.labels[word.label], word.score / 256, sample_of(word.run, built.compiled, listen))
        for word in detect(answers, built.compiled, listen)
    ]
    assert [(word.word, word.score, word.sample) for word in said.words] == words
    assert said.costs.runs == len(answers) and said.seconds == len(audio) / RATE and said.samples_lost == 0
    return said


def test_words_are_those_of_tflite_micro_and_the_twin(speaking_built, audio):
    told = []
    assert check_words(speaking_built, audio, EAGER, told.append).words == tuple(told)
    assert len(told) > 2  # a test that hears nothing proves nothing


@pytest.mark.parametrize(
    "every, average, refractory_ms", [(1, 1, 0), (2, 16, 0), (49, 1, 0), (50, 2, 1000), (1000, 1, 0)]
)
def test_words_at_the_ends_of_every_range(at_host, audio, every, average, refractory_ms):
    check_words(at_host, audio, replace(EAGER, every=every, average=average, refractory_ms=refractory_ms))


@FIXED
def test_words_on_a_core_without_fpu(speaking_built, audio):
    assert len(check_words(speaking_built, audio, EAGER).words) > 2


def test_every_answer_in_a_stream_is_that_of_the_clip(speaking_built, audio):
    """The network's output after each run: bit for bit what the `audio` and `infer` commands give for those samples."""
    listen = replace(EAGER, every=20)
    answers = expected(speaking_built, audio, listen)
    data = audio.astype("<i2").tobytes()
    rng = np.random.default_rng(2)
    with connect(speaking_built.firmware, met(speaking_built.board), timeout=60) as device:
        begin(device, Settings.of(listen, speaking_built.compiled))
        heard, at = [], 0
        while at < len(data):  # pieces of any even size
            size = 2 * int(rng.integers(1, 320))
            answer = device.console.put("stream", data[at : at + size], at)
            at += size
            if answer["runs"] > len(heard):
                heard.append(np.frombuffer(device.console.get("output", 0, answers.shape[1]), np.int8))
        np.testing.assert_array_equal(heard, answers)
        for run in (0, 1, len(answers) - 1):
            end = sample_of(run, speaking_built.compiled, listen)
            _, (clip,) = device.recognise(audio[None, end - 16000 : end])
            np.testing.assert_array_equal(clip, answers[run])
        begin(device, Settings.of(listen, speaking_built.compiled))  # after all that, anew
        again = device.console.put("stream", data)
        assert (again["samples"], again["runs"]) == (len(audio), len(answers))


def test_logits_and_softmax_alike(tmp_path, audio):
    """A network that ends in logits: posteriors are made on the device."""
    source = keyword_model(tmp_path / "m")
    # what the numbers mean is the detector's alone
    compiled = replace(source, output=replace(source.output, scale=0.03, zero_point=5))
    board = load_board("host")
    built = SimpleNamespace(compiled=compiled, board=board, firmware=build(compiled, board, tmp_path / "out"))
    assert len(check_words(built, audio, replace(EAGER, ignore=(), threshold=0.2)).words) > 2


def test_what_is_wrong_is_named_and_changes_nothing(speaking_built, audio):
    with connect(speaking_built.firmware, met(speaking_built.board), timeout=60) as device:
        settings = Settings.of(EAGER, speaking_built.compiled)
        said = begin(device, settings)
        assert {key: said[key] for key in vars(settings)} == vars(settings)
        first = device.console.put("stream", audio[:336].astype("<i2").tobytes())
        for wrong in ({"every": 0}, {"average": 17}, {"threshold": 257}, {"refractory": 65536}):
            with pytest.raises(CommandError, match="range"):
                device.console.request("listen", **wrong)
        with pytest.raises(CommandError, match="half a sample"):
            device.console.put("stream", b"abc", 672)
        with pytest.raises(CommandError, match="offset"):
            device.console.put("stream", b"abcd", 99)
        # once more is harmless
        assert device.console.put("stream", audio[:336].astype("<i2").tobytes())["samples"] == first["samples"] == 336
        assert device.console.put("stream", audio[336:400].astype("<i2").tobytes(), 672)["samples"] == 400
        defaults = device.console.request("listen")
        assert {key: defaults[key] for key in vars(settings)} == vars(Settings.of(Listen(), speaking_built.compiled))


def test_a_firmware_without_front_end_has_none_of_it(foreign_built):
    with (
        connect(foreign_built.firmware, met(foreign_built.board), timeout=60) as device,
        pytest.raises(CommandError, match="no such command"),
    ):
        device.console.request("listen")
    assert b"listen_" not in foreign_built.firmware.elf.read_bytes()
    with pytest.raises(TinyflowError, match="has no front end") as error:
        listen_to(
            on(foreign_built.firmware, foreign_built.board, foreign_built.compiled), np.zeros(RATE, np.int16), Listen()
        )
    assert "tinyflow trained" in error.value.hint


def test_the_recipe_is_in_the_image_for_a_board_without_a_host(at_host):
    with connect(at_host.firmware, met(at_host.board)) as device:
        said = device.console.request("listen")
    assert [said[key] for key in ("every", "average", "threshold", "refractory")] == [3, 2, 77, 10]


@pytest.mark.parametrize("speaking_built", [pytest.param("mps2-an386", marks=pytest.mark.qemu)], indirect=True)
def test_what_a_second_of_audio_costs(speaking_built, audio):
    """The sum of its parts, each counted: the front end as the `frontend` command counts a frame, the network as
    `infer`.
    """
    said = listen_to(
        on(speaking_built.firmware, speaking_built.board, speaking_built.compiled), audio, Listen(every=10)
    )
    parts, costs = said.costs.per_second, said.costs
    with connect(speaking_built.firmware, met(speaking_built.board), timeout=60) as device:
        profile = device.profile(audio=audio[:RATE])
    assert costs.unit == "instructions" and (costs.frames_a_second, costs.runs_a_second) == (50, 5)
    assert parts.all == parts.frontend + parts.network + parts.detector
    assert abs(parts.network / 5 - profile["invoke"]["units"]) < 0.01 * profile["invoke"]["units"]
    assert (
        abs(parts.frontend / 50 - profile["frontend"]["frame"]["units"]) < 0.1 * profile["frontend"]["frame"]["units"]
    )
    assert 0 < parts.detector < 50_000
    nucleo = next(item for item in costs.budgets if item.board == "nucleo-l4r5zi")
    assert nucleo.budget == 60_000_000 and nucleo.share == parts.all / 60_000_000


def test_recordings_of_any_rate_and_channels(tmp_path, audio):
    import soundfile

    soundfile.write(tmp_path / "stereo.wav", np.repeat(audio[:, None], 2, axis=1), RATE, subtype="PCM_16")
    np.testing.assert_array_equal(read_long(tmp_path / "stereo.wav"), audio)
    soundfile.write(tmp_path / "high.flac", np.repeat(audio, 3), 48000)
    assert len(read_long(tmp_path / "high.flac")) == len(audio)
    (tmp_path / "text.wav").write_text("no audio at all")
    for name, message in (("absent.wav", "no recording at"), ("text.wav", "cannot be heard")):
        with pytest.raises(TinyflowError, match=message):
            read_long(tmp_path / name)


def test_a_recording_shorter_than_the_networks_window_is_refused(speaking_built):
    with pytest.raises(TinyflowError, match="0.50 s long.* takes 1.00 s") as error:
        listen_to(
            on(speaking_built.firmware, speaking_built.board, speaking_built.compiled),
            np.zeros(8000, np.int16),
            Listen(),
        )
    assert "tinyflow run --wav" in error.value.hint


# --- microphones ------------------------------------------------------------------------------------------------------


def test_the_hosts_microphone_hears_what_a_recording_says(at_host, tmp_path, monkeypatch, audio):
    """Through a pipe that is written in pieces of odd sizes: the words of the same samples streamed."""
    path = tmp_path / "voice"
    os.mkfifo(path)
    data = padded(at_host, audio).astype("<i2").tobytes()
    (tmp_path / "data").write_bytes(data)
    writer = (
        "import sys, time\ndata = open(sys.argv[1], 'rb').read()\nwith open(sys.argv[2], 'wb', 0) as pipe:\n  for at in"
        " range(0, len(data), 4099): pipe.write(data[at : at + 4099]); time.sleep(0.001)\n  time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", writer, str(tmp_path / "data"), str(path)])
    try:
        monkeypatch.setenv("TINYFLOW_MICROPHONE", str(path))
        said = listen_microphone(
            on(at_host.firmware, at_host.board, at_host.compiled), EAGER, lambda heard: heard < len(data) // 2 // RATE
        )
    finally:
        process.kill()
        process.wait()
    streamed = listen_to(on(at_host.firmware, at_host.board, at_host.compiled), audio, EAGER).words
    assert list(said.words) == [word for word in streamed if word.seconds <= said.seconds] and len(said.words) > 1
    assert 3 <= said.seconds < 3.1 and said.samples_lost == 0


def test_ctrl_c_ends_listening_and_the_result_is_whole(at_host, tmp_path, monkeypatch, clips):
    (tmp_path / "long").write_bytes(np.tile(clips[0], 60).astype("<i2").tobytes())
    monkeypatch.setenv("TINYFLOW_MICROPHONE", str(tmp_path / "long"))
    before = signal.getsignal(signal.SIGINT)
    once = iter([signal.SIGINT])
    with until_interrupted(None) as going:
        said = listen_microphone(
            on(at_host.firmware, at_host.board, at_host.compiled),
            EAGER,
            going,
            lambda word: [os.kill(os.getpid(), number) for number in once],
        )
    assert said.words and said.seconds < 5
    assert signal.getsignal(signal.SIGINT) is before
    with until_interrupted(2.5) as going:
        assert 3 <= listen_microphone(on(at_host.firmware, at_host.board, at_host.compiled), EAGER, going).seconds < 3.1


def test_a_second_ctrl_c_does_not_wait():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), until_interrupted(None) as going:
            assert going(0)
            os.kill(os.getpid(), signal.SIGINT)
            assert not going(0)
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    "samples, message",
    [
        (None, "names no file"),
        ("absent", "cannot be opened"),
        (b"", "gives no samples"),
        (b"ab" * 20000, "gives no samples"),
    ],
)
def test_a_microphone_that_fails_says_why(at_host, tmp_path, monkeypatch, samples, message):
    if isinstance(samples, bytes):
        (tmp_path / "voice").write_bytes(samples)
        samples = "voice"
    monkeypatch.setenv("TINYFLOW_MICROPHONE", str(tmp_path / samples) if samples else "")
    with pytest.raises(TinyflowError, match=message) as error:
        listen_microphone(on(at_host.firmware, at_host.board, at_host.compiled), EAGER, lambda heard: heard < 60)
    assert "the microphone of host (pipe)" in error.value.message and "docs/listen.md" in error.value.hint


def test_boards_without_microphone_or_with_an_unknown_one(speaking_built, tmp_path):
    deaf = replace(speaking_built.board, microphone="")
    with pytest.raises(TinyflowError, match="has no microphone") as error:
        listen_microphone(on(speaking_built.firmware, deaf, speaking_built.compiled), EAGER, lambda heard: True)
    assert "--wav" in error.value.hint
    with pytest.raises(TinyflowError, match="no microphone driver 'ear'") as error:
        build(speaking_built.compiled, replace(speaking_built.board, microphone="ear"), tmp_path / "out")
    assert "pipe" in error.value.hint


@pytest.mark.qemu
def test_between_hops_the_core_sleeps_until_the_microphone_wakes_it(speaking_model, clips, tmp_path):
    """A driver in the board's own folder, as docs/listen.md describes them: WFI, woken by an interrupt that no handler
    takes.

    The clock of the emulator stands for the microphone's: in real time nothing is lost, and the words are those of the
    same samples.
    """
    shutil.copytree(load_board("mps2-an386").folder, tmp_path / "ear")
    shutil.copyfile(
        Path(__file__).parent.parent / "firmware" / "timer_microphone.c", tmp_path / "ear" / "timer_microphone.c"
    )
    (tmp_path / "ear" / "board.yaml").write_text(
        (tmp_path / "ear" / "board.yaml").read_text() + "microphone: timer_microphone\n"
    )
    board = load_board(str(tmp_path / "ear"))
    built = SimpleNamespace(
        compiled=speaking_model, board=board, firmware=build(speaking_model, board, tmp_path / "out")
    )
    said = listen_microphone(on(built.firmware, board, speaking_model), EAGER, lambda heard: heard < 4)
    with np.load(speaking_model.selftest) as stored:
        samples = np.tile(stored["clips"][0], 5)
    words = detect(expected(built, samples, EAGER), speaking_model, EAGER)
    times = [(speaking_model.labels[word.label], sample_of(word.run, speaking_model, EAGER)) for word in words]
    assert said.samples_lost == 0 and said.seconds >= 4
    heard = [(word.word, word.sample) for word in said.words]
    assert heard == [(word, sample) for word, sample in times if sample <= said.seconds * RATE] and len(heard) > 2


# --- a network that learnt something ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.qemu
def test_tones_in_two_minutes_of_noise_are_heard_at_their_times(tmp_path, one_torch_thread):
    """Trained here in seconds: three tones instead of words, at known times, in noise and silence, on the emulated
    board.
    """
    from listening import Spoken, score
    from tone_dataset import TONES, every_operation, tone, tone_dataset

    from tinyflow import recipe
    from tinyflow.convert import compile_trained
    from tinyflow.train import train_model

    dataset = tone_dataset(tmp_path / "data", training=40)
    trained = train_model(
        every_operation(dataset.labels),
        dataset,
        recipe.Train(epochs=12, batch_size=16, learning_rate=0.1, device="cpu"),
        tmp_path / "train",
    )
    compiled = compile_trained(
        trained, dataset, recipe.Compile(calibration_clips=64, selftest_clips=1), tmp_path / "compile"
    )
    rng = np.random.default_rng(12)
    audio, spoken = rng.normal(0, 600, 120 * RATE), []
    at = 2 * RATE
    while at + 2 * RATE < len(audio):
        word = str(rng.choice(list(TONES)))
        loud = np.flatnonzero(np.abs(clip := tone(TONES[word], rng).astype(float)) > 5000)
        clip = clip[loud[0] : loud[-1]]
        audio[at : at + len(clip)] += clip
        spoken.append(Spoken(word, at, at + len(clip), True))
        at += int(rng.uniform(1.8, 4) * RATE)
    audio = audio.clip(-32768, 32767).astype(np.int16)
    board = load_board("mps2-an386")
    built = SimpleNamespace(compiled=compiled, board=board, firmware=build(compiled, board, tmp_path / "out"))
    said = check_words(built, audio, Listen())
    result = score(to_json(said.words), spoken, 120)
    print(json.dumps(result))
    assert result["words"] > 30 and result["share"] > 0.8 and result["false_alarms"] <= 0.2 * result["words"]
    assert -0.5 < result["late_least"] and result["late_greatest"] < 1
