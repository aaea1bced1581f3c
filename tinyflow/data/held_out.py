"""Background noise that the test set was cut from, found and kept out of training and validation.

The silence clips of the official 12-class test of Speech Commands are pieces of its background recordings: without
this, training would hear most of them.
"""

import numpy as np

from tinyflow.data.audio import resample
from tinyflow.data.parallel import in_order

SEARCH_RATE = 1000  # Hz: enough to recognise a second of noise, and quick
# Off the search rate's grid by half a sample the same noise still correlates at sinc(1/2) = 0.64 and more; most other
# noise does below 0.2.
ALIKE = 0.4


def used_in(recording: np.ndarray, clips: np.ndarray, sample_rate: int) -> np.ndarray:
    """Which samples of ``recording`` (frames,) one of ``clips`` (N, samples), at any gain, was cut from: bool
    (frames,).

    Normalised cross-correlation at a low rate. Noise that merely resembles a clip may be marked too.
    """
    frames, samples = len(recording), clips.shape[1]
    used = np.zeros(frames, bool)
    if frames < samples or not len(clips):
        return used
    low = _search_signal(recording, sample_rate)
    length = samples * SEARCH_RATE // sample_rate - 1
    size = 1 << (len(low) + length).bit_length()
    spectrum = np.fft.rfft(low, size)
    energy = np.concatenate([[0.0], np.cumsum(low**2)])
    norm = np.sqrt(energy[length:] - energy[:-length])
    step = sample_rate / SEARCH_RATE

    def likeliest(clip: np.ndarray) -> int:
        template = _search_signal(clip, sample_rate)[:length]
        match = np.fft.irfft(spectrum * np.conj(np.fft.rfft(template, size)), size)[: len(norm)] / np.maximum(
            norm, 1e-9
        )
        best = int(np.argmax(match))
        return best if match[best] > ALIKE * np.sqrt(np.sum(template**2)) else -1

    for start in in_order(likeliest, clips):
        if start >= 0:
            used[max(0, int((start - 1) * step)) : int((start + 1) * step) + samples] = True
    return used


def _search_signal(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """At the search rate, differenced: most noise is low-pitched, and its slow swings all look alike."""
    return np.diff(resample(audio.astype(np.float32), sample_rate, SEARCH_RATE).astype(np.float64))


def unused_pieces(audio: np.ndarray, used: np.ndarray, shortest: int) -> list[np.ndarray]:
    """The pieces of ``audio`` between what is ``used``, those of at least ``shortest`` samples."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], used, [True]]).astype(np.int8)))
    return [audio[start:end] for start, end in edges.reshape(-1, 2) if end - start >= shortest]
