"""How continuous recognition does on long recordings whose words are known: heard, missed, false alarms, and how late.

    python benchmarks/listening.py --runs runs --recipe demo [--board mps2-an386] [--minutes 5] [--split testing]
    [--sweep] [--json]

The recordings are made here: a split's own voices of espeak-ng, or clips of Speech Commands (a recipe with real
recordings), over that split's own noises, at places that are written down; a third of the words are none of the
model's. With --board the firmware hears them; --sweep tries thresholds and averages on this machine's build of the same
C, on validation, from which the recipe's defaults were chosen. Synthetic speech says that the tool works, not how well
people are understood.
"""

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinyflow.compile.artefact import CompiledModel
from tinyflow.data.background import cut
from tinyflow.data.dataset import Dataset
from tinyflow.data.vocabulary import SILENCE, UNKNOWN
from tinyflow.deploy.detector import detect, sample_of
from tinyflow.frontend.host import HostFrontend
from tinyflow.pipeline import recipe_run
from tinyflow.recipe import Listen, load_recipe
from tinyflow.reference.hostmodel import HostModel

RATE = 16000
GAP = (0.6, 2.4)  # seconds between two words
SNR_DB = (5.0, 30.0)  # of a word against the noise, as in training
NOISE_SECONDS = 12  # then another noise, at another level
OTHERS = 1 / 3  # share of words that are none of the model's
LATE = 1.5  # seconds after its end in which a word may be told


@dataclass(frozen=True)
class Spoken:
    word: str
    start: int  # samples
    end: int
    counts: bool  # whether it is one of the model's


def record(
    words: list[tuple[str, np.ndarray, bool]], noises: list[np.ndarray], seconds: float, rng: np.random.Generator
) -> tuple[np.ndarray, list[Spoken]]:
    """int16 (samples,) and what was said where. words: (word, float audio without silence around it, whether it is the
    model's), taken in turn.
    """
    samples = int(seconds * RATE)
    audio = np.zeros(samples)
    loud = np.zeros(samples)  # of the noise, RMS
    for start in range(0, samples, NOISE_SECONDS * RATE):
        length = min(NOISE_SECONDS * RATE, samples - start)
        noise = noises[rng.integers(len(noises))]
        rms = 0.0 if rng.random() < 0.1 else 0.1 * 10 ** (-rng.uniform(*SNR_DB) / 20)
        piece = cut(noise, int(rng.integers(len(noise))), length)
        audio[start : start + length] = rms * piece / max(np.sqrt(np.mean(np.square(piece, dtype=np.float64))), 1e-9)
        loud[start : start + length] = rms
    spoken = []
    at = RATE
    for word, voice, counts in words:
        if at + len(voice) + RATE > samples:
            break
        audio[at : at + len(voice)] += 0.1 * voice / np.sqrt(np.mean(np.square(voice, dtype=np.float64)))
        spoken.append(Spoken(word, at, at + len(voice), counts))
        at += len(voice) + int(rng.uniform(*GAP) * RATE)
    return (
        np.clip(np.rint(32768 * 0.5 * audio / max(np.abs(audio).max(), 1e-9)), -32768, 32767).astype(np.int16),
        spoken,
    )


def synthetic_words(recipe, split: str, count: int, rng: np.random.Generator) -> list[tuple[str, np.ndarray, bool]]:
    """``count`` words by voices of ``split``, at rates that only it has."""
    from tinyflow.data import synthetic
    from tinyflow.data.parallel import in_order
    from tinyflow.data.vocabulary import vocabulary_of

    voices, keywords = synthetic.available_voices(), vocabulary_of(recipe.data).keywords
    others = [word for word in recipe.data.synthetic.unknown_words if word not in keywords]
    chosen = [str(rng.choice(others)) if rng.random() < OTHERS else str(rng.choice(keywords)) for _ in range(count)]
    # numbers that no clip of the data set has: other voices, rates and pitches are drawn
    said = in_order(
        lambda item: synthetic.speak(
            synthetic.utterance(item[1], split, 100_000 + item[0], recipe.data.seed, voices), RATE
        ),
        list(enumerate(chosen)),
    )
    return [(word, audio, word in keywords) for word, audio in zip(chosen, said)]


def noises(recipe, dataset: Dataset, split: str) -> list[np.ndarray]:
    """Of ``split``, which training never hears: made noises, or the clips of silence joined, each
    at the same loudness.
    """
    if recipe.data.source == "synthetic":
        from tinyflow.data import synthetic
        from tinyflow.data.vocabulary import vocabulary_of

        voices = synthetic.available_voices()
        return synthetic.make_noises(recipe.data.seed, vocabulary_of(recipe.data).keywords, voices, RATE)[split]
    clips = dataset.split(split)
    quiet = clips.audio[clips.labels == dataset.labels.index(SILENCE)].astype(np.float64)
    loudness = np.sqrt(np.mean(quiet**2, axis=1, keepdims=True))
    kept = loudness[:, 0] > 1
    return [(quiet[kept] / loudness[kept]).reshape(-1)]


def recorded_words(
    dataset: Dataset, split: str, count: int, rng: np.random.Generator
) -> list[tuple[str, np.ndarray, bool]]:
    """``count`` clips of ``split``, the quiet before and after each cut off."""
    clips = dataset.split(split)
    others = dataset.labels.index(UNKNOWN) if UNKNOWN in dataset.labels else -1
    order = rng.permutation(len(clips.labels))
    pools = [
        [
            row
            for row in order
            if (clips.labels[row] == others) == other and dataset.labels[clips.labels[row]] != SILENCE
        ]
        for other in (False, True)
    ]
    words = []
    while len(words) < count and pools[0]:
        other = bool(pools[1]) and rng.random() < OTHERS
        row = pools[other].pop()
        audio = clips.audio[row] / np.float32(32768)
        energy = np.convolve(np.square(audio), np.ones(400) / 400, "same")
        heard = np.flatnonzero(energy > 0.02 * energy.max())
        words.append((str(clips.words[row]), audio[max(0, heard[0] - 800) : heard[-1] + 800], not other))
    return words


def answers(compiled: CompiledModel, audio: np.ndarray, every: int, fixed: bool = False) -> np.ndarray:
    """int8 (runs, labels): what the network says of int16 ``audio`` (samples,) every ``every``
    hops, on this machine.
    """
    features = HostFrontend(compiled.c, fixed=fixed).features(audio[None])[0]
    rows = compiled.input.elements // features.shape[1]
    starts = range(0, len(features) - rows + 1, every)
    return HostModel(compiled).invoke(np.stack([features[at : at + rows] for at in starts])).reshape(len(starts), -1)


def score(words: list[dict[str, Any]], spoken: list[Spoken], seconds: float) -> dict[str, Any]:
    """words: {word, sample} as listen tells them. A word told while it is said, or up to LATE seconds after, is heard;
    a second telling of it, another word, or a word in noise is a false alarm.
    """
    open_ = [item for item in spoken if item.counts]
    late, alarms = [], []
    for told in words:
        match = next(
            (
                item
                for item in open_
                if item.word == told["word"] and item.start < told["sample"] <= item.end + LATE * RATE
            ),
            None,
        )
        if match is None:
            alarms.append(told)
            continue
        open_.remove(match)
        late.append((told["sample"] - match.end) / RATE)
    total = sum(item.counts for item in spoken)
    return {
        "seconds": seconds,
        "words": total,
        "other_words": len(spoken) - total,
        "heard": len(late),
        "share": len(late) / max(1, total),
        "false_alarms": len(alarms),
        "false_alarms_an_hour": len(alarms) * 3600 / seconds,
        "late_median": float(np.median(late)) if late else None,
        "late_greatest": max(late, default=None),
        "late_least": min(late, default=None),
    }


def on_host(compiled: CompiledModel, outputs: np.ndarray, listen: Listen) -> list[dict[str, Any]]:
    return [
        {"word": compiled.labels[word.label], "sample": sample_of(word.run, compiled, listen)}
        for word in detect(outputs, compiled, listen)
    ]


def sweep(compiled: CompiledModel, audio: np.ndarray, spoken: list[Spoken]) -> list[dict[str, Any]]:
    rows = []
    base = answers(compiled, np.concatenate([audio, np.zeros(RATE, np.int16)]), 5)
    for every in (5, 10, 15, 20, 25):
        for average in (1, 2, 3, 4, 6, 8):
            for threshold in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
                for refractory_ms in (750, 1000, 1250):
                    listen = Listen(every=every, average=average, threshold=threshold, refractory_ms=refractory_ms)
                    rows.append(
                        {
                            **vars(listen),
                            **score(on_host(compiled, base[:: every // 5], listen), spoken, len(audio) / RATE),
                        }
                    )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="demo", help="a name in configs/, or a YAML file")
    parser.add_argument("--runs", default="runs", type=Path)
    parser.add_argument("--board", default="")
    parser.add_argument("--minutes", default=5.0, type=float)
    parser.add_argument("--split", default="testing", choices=["validation", "testing"])
    parser.add_argument("--seed", default=1, type=int)
    parser.add_argument("--every", type=int)
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    from tinyflow.artefacts import CONFIGS
    from tinyflow.compile import load_compiled

    path = Path(options.recipe) if options.recipe.endswith(".yaml") else CONFIGS / f"{options.recipe}.yaml"
    run = recipe_run(load_recipe(path), options.runs)
    run.make("compile")
    compiled, dataset, recipe = load_compiled(run.folder.compile), run.dataset(), run.recipe
    rng = np.random.default_rng(options.seed)
    split = "validation" if options.sweep else options.split
    count = int(options.minutes * 60 / 1.8)
    words = (
        synthetic_words(recipe, split, count, rng)
        if recipe.data.source == "synthetic"
        else recorded_words(dataset, split, count, rng)
    )
    audio, spoken = record(words, noises(recipe, dataset, split), options.minutes * 60, rng)
    listen = replace(recipe.listen, every=options.every or recipe.listen.every)
    if options.sweep:
        rows = sweep(compiled, audio, spoken)
    else:
        rows = [
            {
                "where": "this machine",
                **vars(listen),
                **score(
                    on_host(
                        compiled,
                        answers(compiled, np.concatenate([audio, np.zeros(RATE, np.int16)]), listen.every),
                        listen,
                    ),
                    spoken,
                    len(audio) / RATE,
                ),
            }
        ]
        if options.board:
            from tinyflow.deploy.listen import listen_to
            from tinyflow.pipeline import make_firmware
            from tinyflow.results import to_json

            target, _ = make_firmware(run, options.board)
            said = listen_to(
                target,
                audio,
                listen,
                lambda task, done, total, note="": print(f"{done}/{total} {note}", file=sys.stderr),
            )
            rows.append(
                {
                    "where": target.board.name,
                    **vars(listen),
                    **score(to_json(said.words), spoken, len(audio) / RATE),
                    "costs": to_json(said.costs),
                }
            )
    print(json.dumps(rows, indent=2) if options.json else "\n".join(map(str, rows)))


if __name__ == "__main__":
    main()
