"""A small, real Dataset of tones, and a genotype for it: classes that a network learns in seconds."""

from pathlib import Path

import numpy as np

from tinyflow import recipe
from tinyflow.data.background import made
from tinyflow.data.dataset import Dataset
from tinyflow.data.store import Clip, Corpus, Recording, write_dataset
from tinyflow.data.vocabulary import vocabulary_of
from tinyflow.frontend.mfcc.config import MfccConfig
from tinyflow.network.genotype import Cell, Edge, Genotype
from tinyflow.progress import silent

TONES = {"low": 300.0, "middle": 900.0, "high": 2700.0}  # Hz


def tone(frequency: float, rng: np.random.Generator, samples: int = 16000) -> np.ndarray:
    """A noisy, slightly detuned tone of half a second somewhere in the clip."""
    time = np.arange(samples) / 16000
    start = rng.uniform(0.0, 0.5)
    inside = (time >= start) & (time < start + 0.5)
    audio = 0.3 * np.sin(2 * np.pi * frequency * rng.uniform(0.9, 1.1) * time + rng.uniform(0, 6)) * inside
    return np.rint(32767 * np.clip(audio + 0.02 * rng.standard_normal(samples), -1, 1)).astype(np.int16)


def tone_dataset(folder: Path, training: int = 20, held_out: int = 6, seed: int = 0) -> Dataset:
    """``training`` clips a word to train on, ``held_out`` a word for validation and as many for testing."""
    rng = np.random.default_rng(seed)
    clips = []
    for split, count in (("training", training), ("validation", held_out), ("testing", held_out)):
        for word, frequency in TONES.items():
            clips += [
                Clip(Recording(word, split, f"{split}-{n}", f"{split}/{word}/{n}.wav"), tone(frequency, rng))
                for n in range(count)
            ]
    data = recipe.Data(
        task="keywords", keywords=tuple(TONES), unknown=False, silence=0.1, source="folder", path="tones"
    )
    corpus = Corpus("tones", clips, len(clips), made(16000, seed), {"kind": "tones"})
    return write_dataset(corpus, vocabulary_of(data), data, folder, silent)


def cell(*nodes: tuple[tuple[str, int], tuple[str, int]]) -> Cell:
    return tuple(tuple(Edge(operation, source) for operation, source in node) for node in nodes)


NORMAL = cell(
    (("sep_conv_3x3", 0), ("dil_conv_5x5", 1)),
    (("avg_pool_3x3", 0), ("skip_connect", 2)),
    (("max_pool_3x3", 1), ("dil_conv_3x3", 2)),
    (("sep_conv_5x5", 3), ("skip_connect", 1)),
)
REDUCTION = cell(
    (("max_pool_3x3", 0), ("sep_conv_3x3", 1)),
    (("skip_connect", 0), ("dil_conv_3x3", 2)),
    (("avg_pool_3x3", 1), ("sep_conv_5x5", 0)),
    (("dil_conv_5x5", 1), ("skip_connect", 4)),
)


def every_operation(
    labels: tuple[str, ...], mfcc: MfccConfig | None = None, channels: int = 4, cells: int = 3, stem_stride: int = 2
) -> Genotype:
    """A genotype with every operation at stride 1 and at stride 2."""
    return Genotype(
        "keywords", labels, mfcc or MfccConfig(n_mels=40, n_mfcc=10), NORMAL, REDUCTION, channels, cells, stem_stride
    )
