"""Window and hop by gradient descent, and back to a front end that the C computes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from frontend_signals import signals

from tinyflow.errors import TinyflowError
from tinyflow.frontend.host import HostFrontend
from tinyflow.frontend.mel.config import smooth
from tinyflow.frontend.mfcc.config import TABLE_1, MfccConfig
from tinyflow.frontend.registry import front_end_named
from tinyflow.search.continuous import ContinuousFrontend, _position

START = MfccConfig(window=640, hop=320, n_mels=40)


SIGNALS = signals()


def clips(kind: str = "speech", count: int = 4) -> torch.Tensor:
    return torch.from_numpy(SIGNALS[kind][:count].astype(np.float32) / 32768)


def moved(config: MfccConfig, window: float, hop: float, **options) -> ContinuousFrontend:
    frontend = ContinuousFrontend(config, **options)
    frontend.position.data = torch.tensor([_position(window, frontend.windows), _position(hop, frontend.hops)])
    return frontend


@pytest.mark.parametrize("config", TABLE_1, ids=lambda config: config.name)
def test_starts_as_the_front_end_with_a_dense_fft(config):
    frontend = ContinuousFrontend(config)
    found, valid = frontend.features(clips())
    expected = replace(config, n_fft=frontend.support).module()(clips())
    frames = config.frames()
    assert valid[:frames].eq(1).all() and valid[frames:].max() < 1e-9, "Table 1's hops fill the second exactly"
    assert (found[:, :frames] - expected).abs().max() < 2e-3
    assert frontend.describe()["snapped"] == config.name and frontend.snap() == config
    assert frontend.describe()["frames"] == pytest.approx(frames)


@pytest.mark.parametrize("config", TABLE_1, ids=lambda config: config.name)
def test_starts_near_the_front_end_itself(config):
    """The dense FFT samples the mel filters more finely than n_fft = window: the standardised features differ by that
    alone.
    """
    frontend = ContinuousFrontend(config)
    waveforms = torch.cat([clips("speech", 8), clips("noise", 8)])
    found, padding = frontend(waveforms)
    assert padding is None and found.shape == (len(waveforms), 1, *frontend.size)
    mfcc = config.module()(waveforms)
    expected = (mfcc - mfcc.mean((0, 1))) / mfcc.std((0, 1), correction=0)
    found = found.detach()[:, 0]
    near = (found[:, : config.frames()] - expected).abs()
    wide = config.n_mels == 40  # with 80 some filters are narrower than a bin of n_fft = window, and empty
    assert near.mean() < (0.08 if wide else 0.25) and near[..., :13].mean() < 0.08
    assert np.corrcoef(found[:, : config.frames()].flatten(), expected.flatten())[0, 1] > (0.99 if wide else 0.92)
    assert not found[:, config.frames() :].any(), "beyond the clip"


def test_is_the_front_end_wherever_window_and_hop_are_whole():
    frontend = moved(START, 500, 250)
    found, valid = frontend.features(clips())
    expected = MfccConfig(window=500, hop=250, n_mels=40, n_fft=frontend.support).module()(clips())
    assert valid.sum().item() == pytest.approx(63, abs=1e-3) and len(expected[0]) == 63
    assert (found[:, :63] - expected).abs().max() < 2e-3


@pytest.mark.parametrize("window, hop", [(640, 331), (555.3, 271.7), (801.25, 199.9)])
def test_gradients_are_finite_differences(window, hop):
    frontend = moved(replace(START, n_mfcc=13), window, hop).double()
    waveforms = clips(count=2).double()
    weights = torch.randn(frontend.size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def value() -> torch.Tensor:
        mfcc, valid = frontend.features(waveforms)
        return (mfcc * valid[:, None] * weights).mean()

    value().backward()
    for index in (0, 1):
        sides, start = [], frontend.position.data.clone()
        for step in (1e-6, -1e-6):
            frontend.position.data = start.clone()
            frontend.position.data[index] += step
            sides.append(value().item())
        frontend.position.data = start
        assert frontend.position.grad[index].item() == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-3)
        assert abs(frontend.position.grad[index]) > 1e-6


def test_gradients_pass_the_standardisation():
    frontend = moved(START, 555.3, 271.7)
    x, _ = frontend(clips())
    (x * torch.linspace(-1, 1, x.shape[2])[:, None]).square().mean().backward()
    assert torch.isfinite(frontend.position.grad).all() and (frontend.position.grad != 0).all()
    assert [parameter.shape for parameter in frontend.parameters()] == [(2,)]


def test_frames_fade_out_at_the_end_of_the_clip():
    counts = []
    for hop in (320, 322.0, 326.4, 330):
        frontend = moved(START, 640, hop)
        _, valid = frontend.features(clips())
        counts.append(valid.sum().item())
        assert counts[-1] == pytest.approx(1 + 15360 / hop, rel=1e-5)
        assert ((valid > 0) & (valid < 1)).sum() <= 1
    assert counts == sorted(counts, reverse=True)


def test_evaluates_with_running_statistics():
    frontend = ContinuousFrontend(START)
    frontend.norm.momentum = 1.0  # the last batch's alone
    expected, _ = frontend(clips())
    frontend.eval()
    found, _ = frontend(clips())
    assert torch.allclose(found, expected, atol=0.02), "but for the unbiased variance of 196 frames"
    assert torch.allclose(frontend(clips()[:1])[0], found[:1], atol=1e-5), "a clip by itself"


def test_descent_finds_the_window_and_hop_that_made_a_target():
    torch.manual_seed(0)
    samples = 4000
    time = torch.arange(samples) / 16000
    sweeps = torch.stack(
        [
            torch.sin(2 * torch.pi * (start + slope * time) * time)
            for start, slope in ((300, 900), (2500, -2000), (700, 3000), (1500, 100))
        ]
    )
    waveforms = 0.3 * sweeps + 0.01 * torch.randn(4, samples)
    config, bounds = (
        MfccConfig(window=320, hop=160, n_mels=26),
        dict(samples=samples, windows=(160, 480), hops=(80, 240)),
    )
    with torch.no_grad():
        target, _ = moved(config, 256, 140, **bounds)(waveforms)
    frontend = ContinuousFrontend(config, **bounds)
    adam = torch.optim.Adam(frontend.parameters(), lr=0.03)
    for _ in range(120):
        adam.zero_grad()
        (frontend(waveforms)[0] - target).square().mean().backward()
        adam.step()
    found = frontend.describe()
    assert abs(found["window"] - 256) < 8 and abs(found["hop"] - 140) < 1, found


@pytest.mark.parametrize(
    "window, hop, expected",
    [
        (640, 320, (640, 320)),
        (611.2, 271.49, (600, 271)),
        (331, 321, (324, 321)),
        (700, 639.4, (720, 639)),
        (1279, 161, (1280, 161)),
        (1188, 161, (1200, 161)),
    ],
)
def test_snaps_to_what_the_c_front_end_can_do(window, hop, expected):
    snapped = moved(START, window, hop).snap()
    assert (snapped.window, snapped.hop) == expected and snapped.n_fft == snapped.window
    assert smooth(snapped.window) and snapped.window % 2 == 0
    assert front_end_named(snapped.name) == snapped


def test_a_snapped_front_end_builds(tmp_path):
    snapped = moved(START, 611.2, 271.49).snap()
    snapped.generate(np.ones(40, np.float32), np.zeros(40, np.float32), tmp_path)
    audio = SIGNALS["speech"][:2]
    found = HostFrontend(tmp_path).features(audio)
    expected = snapped.module()(torch.from_numpy(audio.astype(np.float32) / 32768)).numpy()
    assert found.shape == expected.shape == (2, *snapped.shape)
    assert np.abs(found - np.clip(np.rint(expected), -128, 127)).max() <= 1


def test_the_hop_stays_within_the_window():
    frontend = moved(START, 330, 600)
    window, hop = frontend.window_hop()
    assert float(hop) == float(window) == pytest.approx(330)
    assert frontend.snap().hop <= frontend.snap().window


def test_refuses_bounds_that_hold_nothing():
    with pytest.raises(TinyflowError, match="hop 320"):
        ContinuousFrontend(START, hops=(400, 500))
    with pytest.raises(TinyflowError, match="does not fit"):
        ContinuousFrontend(START, windows=(320, 20000))
    with pytest.raises(TinyflowError, match="640"):
        ContinuousFrontend(START)(torch.zeros(2, 640))


def test_precision_does_not_depend_on_autocast():
    frontend = ContinuousFrontend(START)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = frontend(clips())
    assert found.dtype == torch.float32 and torch.equal(found, frontend(clips())[0])
