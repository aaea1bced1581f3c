"""Log-mel, the second front end: against torchaudio, in C and in integers, on emulated boards, priced and searched."""

import numpy as np
import pytest
import torch
import torchaudio
from firmware_models import speaking
from frontend_signals import signals
from targets import on
from tone_dataset import every_operation, tone_dataset

from tinyflow.board import load_board
from tinyflow.convert import compile_trained
from tinyflow.cost.instructions import frontend_instructions
from tinyflow.deploy.build import build
from tinyflow.deploy.profile import profile
from tinyflow.deploy.validate import validate
from tinyflow.errors import TinyflowError
from tinyflow.frontend.host import HostFrontend
from tinyflow.frontend.logmel import LogMelConfig
from tinyflow.frontend.mel.bank import FeatureBank
from tinyflow.frontend.mfcc import MfccConfig
from tinyflow.frontend.parity import compare
from tinyflow.frontend.quantize import FeatureQuantization
from tinyflow.frontend.registry import KINDS, front_end_named, front_end_of
from tinyflow.frontend.scaler import Scaler
from tinyflow.network.genotype import genotype_from_dict
from tinyflow.recipe import Compile, Search, Train
from tinyflow.search import search_network
from tinyflow.train import train_model

CONFIGS = (
    LogMelConfig(),
    LogMelConfig(window=400, hop=160, n_mels=26, n_fft=512),
    LogMelConfig(window=480, hop=160, n_mels=80),
)


def floats(audio: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(audio.astype(np.float32) / 32768)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_names_and_json_read_back(config):
    assert front_end_named(config.name) == config and front_end_of(config.to_dict()) == config
    assert config.to_dict()["kind"] == "logmel" and KINDS["logmel"] is LogMelConfig
    assert (
        config.name != MfccConfig(window=config.window, hop=config.hop, n_mels=config.n_mels, n_fft=config.n_fft).name
    )


def test_what_cannot_be_is_refused():
    with pytest.raises(TinyflowError, match="unknown field 'n_mfcc'") as caught:
        front_end_of({"kind": "logmel", "n_mfcc": 10})
    assert "n_mels" in caught.value.hint
    with pytest.raises(TinyflowError, match="front end 'logmell/640/320/40'") as caught:
        front_end_named("logmell/640/320/40")
    assert "logmel/window/hop/n_mels" in caught.value.hint


@pytest.mark.parametrize("config", CONFIGS[:1] + CONFIGS[2:], ids=lambda config: config.name)
def test_equal_to_torchaudio(config):
    audio = floats(np.concatenate([signals()["speech"][:2], signals()["noise"][:2]]))
    spectrogram = torchaudio.transforms.MelSpectrogram(
        config.sample_rate,
        n_fft=config.n_fft,
        win_length=config.window,
        hop_length=config.hop,
        n_mels=config.n_mels,
        center=False,
        mel_scale="htk",
        norm=None,
    )
    expected = torch.log(spectrogram(audio) + 1e-6).transpose(1, 2)
    found = config.module()(audio)
    assert found.shape == (4, *config.shape) and (found - expected).abs().max() < 2e-3
    assert (found - expected).abs().mean() < 1e-5


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_the_c_is_within_the_gate(config, tmp_path):
    """Floats: at most 1 LSB in at most 0.1 % of the values. Integers: the same on speech."""
    speech = signals()["speech"]
    training = np.concatenate([speech, signals()["noise"]])
    fitted = config.module()(floats(training)).numpy()
    quantization = FeatureQuantization.of(Scaler.fit([fitted]), 9 / 255, -3)
    config.generate(quantization.multiplier.tolist(), quantization.offset.tolist(), tmp_path)
    reference = quantization.quantize(config.module()(floats(speech)).numpy())
    for fixed in (False, True):
        found = compare(HostFrontend(tmp_path, fixed=fixed).features(speech), reference)
        assert found.passed, (fixed, str(found))


def test_a_bank_shares_what_kinds_have_in_common():
    configs = (LogMelConfig(), MfccConfig(), MfccConfig(hop=160, n_mfcc=10), LogMelConfig(hop=160), CONFIGS[1])
    audio = floats(signals()["speech"][:3])
    bank = FeatureBank(configs)
    for config, found in zip(configs, bank(audio)):
        assert torch.allclose(found, config.module()(audio), atol=2e-4)
    names = [name for name, _ in bank.named_buffers()]
    assert len([name for name in names if name.startswith("window_")]) == 2
    assert len([name for name in names if name.startswith("bank_")]) == 2


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize("name", ["mps2-an386", "mps2-an385"])
def test_the_gate_on_emulated_boards(name, tmp_path):
    """In floats on a Cortex-M4F, in integers on a Cortex-M3: features of device and host are equal bit for bit."""
    config, audio, board = CONFIGS[0], signals()["speech"][:2], load_board(name)
    compiled = speaking(tmp_path / "model", config, audio)
    firmware = build(compiled, board, tmp_path / "firmware")
    result = validate(on(firmware, board, compiled), n=2, audio=audio)
    assert result.passed, result.reason
    assert result.parity.features.identical_on_device_and_host == len(audio)
    counted = profile(on(firmware, board, compiled)).frontend
    assert tuple(step.name for step in counted.steps) == config.steps
    if board.name == "mps2-an386":  # the core that the prices are of
        assert frontend_instructions(config) == pytest.approx(counted.units_per_second, rel=0.02)


@pytest.mark.slow
@pytest.mark.qemu
def test_a_genotype_with_it_is_trained_compiled_and_validated(tmp_path):
    dataset = tone_dataset(tmp_path / "data")
    genotype = every_operation(dataset.labels)
    value = genotype.to_dict() | {"frontend": {"kind": "logmel", "window": 640, "hop": 320, "n_mels": 16}}
    genotype = genotype_from_dict(value)
    trained = train_model(genotype, dataset, Train(epochs=1, batch_size=16, device="cpu"), tmp_path / "train")
    config = Compile(calibration_clips=16, selftest_clips=1)
    compiled = compile_trained(trained, dataset, config, tmp_path / "compile")
    assert compiled.frontend.kind == "logmel" and compiled.input.shape == (1, 49, 16, 1)
    board = load_board("mps2-an386")
    audio = np.ascontiguousarray(dataset.split("validation").audio[:2])
    result = validate(on(build(compiled, board, tmp_path / "firmware"), board, compiled), n=1, audio=audio)
    assert result.passed, result.reason


@pytest.mark.usefixtures("one_torch_thread")
def test_a_search_may_choose_it(tmp_path):
    """gamma over both kinds, and the genotype that comes out says which."""
    names = ("640/640/16", "logmel/640/640/16")
    config = Search(
        frontends=names,
        channels=8,
        cells=2,
        stem_stride=2,
        epochs=2,
        warmup_epochs=1,
        batch_size=16,
        gamma_learning_rate=2.0,
        device="cpu",
    )
    result = search_network(tone_dataset(tmp_path / "data"), config, tmp_path / "search")
    assert result.genotype.frontend.name in names
    assert genotype_from_dict(result.genotype.to_dict()) == result.genotype
