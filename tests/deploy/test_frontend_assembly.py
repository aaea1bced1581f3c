"""The front end's assembly on the emulated Cortex-M4F gives its C twin's bits, in the geometries that Table 1 does not
have.
"""

import numpy as np
import pytest
from firmware_models import speaking
from frontend_signals import signals
from targets import met

from tinyflow.board import load_board
from tinyflow.deploy.build import build
from tinyflow.deploy.device import connect
from tinyflow.frontend.host import HostFrontend
from tinyflow.frontend.mel.c import fft_radices
from tinyflow.frontend.registry import front_end_named

# window/hop/mels: what of the assembly it runs
GEOMETRIES = {
    "640/320/40/mfcc10/fft1024": "a first stage of four, three and two inputs, radix 2 last, a DCT folded once",
    "640/320/80": "a DCT folded three times",
    "480/240/26/mfcc13": "radix 3 behind an even stride, a DCT in one piece",
    "450/225/20": "radices 3 and 5 behind odd strides, an odd hop, so samples at two bytes from a word",
    "333/111/24/mfcc7/fft500": "an odd window, radix 2 first, samples past the blocks of 16",
    "320/160/40": "radix 2 between others",
}


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize("name", GEOMETRIES)
def test_assembly_is_its_twin(name, tmp_path):
    made = signals()
    audio = np.stack([made["speech"][3], made["noise"][5], made["clipping"][0], made["dither"][0]])
    compiled = speaking(tmp_path / "model", front_end_named(name), audio[:1])
    board = load_board("mps2-an386")
    with connect(build(compiled, board, tmp_path / "firmware"), met(board)) as device:
        on_device = device.recognise(audio)[0]
        embedded = device.selftest()  # frontend_clip on the stored clip, hop by hop
    on_host = HostFrontend(compiled.c).features(audio)
    assert np.array_equal(np.array(on_device).reshape(on_host.shape), on_host)
    assert embedded["passed"] and embedded["features_equal"] == embedded["clips"] == 1
    assert np.ptp(on_host.astype(int)) > 150


def test_the_geometries_are_what_they_say():
    radices = {name: fft_radices(front_end_named(name).n_fft // 2) for name in GEOMETRIES}
    assert radices["640/320/40/mfcc10/fft1024"] == [4, 4, 4, 4, 2] and radices["480/240/26/mfcc13"] == [4, 4, 3, 5]
    assert (
        radices["450/225/20"] == [3, 3, 5, 5]
        and radices["333/111/24/mfcc7/fft500"] == [2, 5, 5, 5]
        and radices["320/160/40"] == [4, 4, 2, 5]
    )
