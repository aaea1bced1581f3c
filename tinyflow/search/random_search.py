"""Random search: the baseline that a gradient search has to beat (Li and Talwalkar, 2019), over the same space.

Candidates draw their cells uniformly from the recipe's operations and their front end from its list, are trained alike
on the clips of the search (its batch size, learning rate and cosine, no augmentation), and are ranked on the held-out
part of validation, which the gradient search never sees either. Nothing else reads that part, so the winner's accuracy
is biased only by the choice itself.
"""

import math
import random
import time
from dataclasses import asdict
from itertools import count as naturals
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from tinyflow.artefacts import fingerprint, read_json, write_json
from tinyflow.board import Board
from tinyflow.errors import Interrupted, TinyflowError
from tinyflow.frontend.registry import front_end_named
from tinyflow.network.alignment import alignments
from tinyflow.network.build import build_network
from tinyflow.network.count import count
from tinyflow.network.genotype import Genotype, genotype_from_dict
from tinyflow.progress import Progress, silent
from tinyflow.recipe import Search
from tinyflow.search.artefact import GENOTYPE, HISTORY, NOT_DATA_AWARE, SearchResult, load_search, save_search
from tinyflow.search.data import SearchData
from tinyflow.search.derive import skip_connections
from tinyflow.search.random_genotype import random_cell
from tinyflow.search.world import World, current_world
from tinyflow.train.resume import interrupts
from tinyflow.train.training import pick_device

FORMAT = 1  # of a candidate's file
DRAWS = 200  # of one candidate, before the board's budget is called too small


def random_search(
    dataset, config: Search, out: Path | str, progress: Progress = silent, board: Board | None = None
) -> SearchResult:
    """The best of ``config.random_candidates`` random genotypes, written to ``out`` as a search's result.

    With ``config.random_seconds`` candidates are drawn until so much time is spent instead: equal cost to a search that
    took as long. With a board, genotypes beyond its budget are drawn again. Several processes share the candidates. A
    run that was interrupted goes on with the next candidate; a loss that is not finite ranks its candidate last.
    """
    out, world = Path(out), current_world()
    out.mkdir(parents=True, exist_ok=True)
    key = fingerprint({"format": FORMAT, "search": _what(config), "data": dataset.fingerprint, "board": _budget(board)})
    if world.main:
        for name in (GENOTYPE, HISTORY):  # of an earlier run: not half old, half new
            (out / name).unlink(missing_ok=True)
    for index in naturals(world.rank, world.size):
        done = [item for item in _finished(out, key) if item["index"] % world.size == world.rank]
        spent = sum(item["seconds"] for item in done)
        if config.random_seconds:
            progress(
                "random search", min(int(spent), int(config.random_seconds)), int(config.random_seconds), _best(done)
            )
            if done and spent >= config.random_seconds:
                break
        else:
            progress("random search", min(index, config.random_candidates), config.random_candidates, _best(done))
            if index >= config.random_candidates:
                break
        if not any(item["index"] == index for item in done):
            candidate = _candidate(index, dataset, config, board, out, progress)
            write_json(out / _file(index), {"fingerprint": key, **candidate})
    _wait(world)
    if world.main:
        _save(dataset, config, board, out, _finished(out, key))
    _wait(world)
    return load_search(out)


def _save(dataset, config: Search, board: Board | None, out: Path, candidates: list[dict[str, Any]]) -> None:
    best = max(candidates, key=lambda item: (item["accuracy"], -item["macs"]))
    if best["loss"] is None:
        message = f"none of {len(candidates)} random candidates learnt: every loss was not finite"
        raise TinyflowError(message, "lower search.learning_rate or set search.gradient_clip")
    facts = {"method": "random", "seed": config.seed, "epochs": config.random_epochs, "candidates": len(candidates)}
    provenance = {**facts, "held_out_accuracy": best["accuracy"], "description": dataset.description}
    genotype = genotype_from_dict({**best["genotype"], "provenance": provenance})
    history = {
        "description": dataset.description,
        **facts,
        "epochs": [],
        "epochs_per_candidate": config.random_epochs,
        "seconds": round(sum(item["seconds"] for item in candidates), 3),
        "winner": best["index"],
        "accuracy": best["accuracy"],
        "fit": best["fit"],
        "candidates": candidates,
    }
    choice = (
        NOT_DATA_AWARE
        if len(config.frontends) == 1
        else f"chosen: the front end of the best of {len(candidates)} random candidates"
    )
    save_search(out, genotype, history, (), choice)
    for path in out.glob("candidate-*.json"):
        path.unlink()


def _candidate(
    index: int, dataset, config: Search, board: Board | None, out: Path, progress: Progress
) -> dict[str, Any]:
    """Draws, trains and measures one candidate: a function of the seed and ``index``."""
    started = time.monotonic()
    genotype, fit, rejected = _draw(index, dataset, config, board)
    device = pick_device(config.device)
    data = SearchData(dataset, (genotype.frontend,), config, device, progress)
    torch.manual_seed(config.seed * 100_003 + index)
    network = build_network(genotype)
    parameters, macs = count(network, (1, *genotype.frontend.shape))
    loss = _train(
        network.to(device, memory_format=torch.channels_last), data, config, f"candidate {index + 1}", out, progress
    )
    accuracy = _accuracy(network, data, _bfloat16(config, device)) if math.isfinite(loss) else 0.0
    return {
        "index": index,
        "frontend": genotype.frontend.name,
        "accuracy": accuracy,
        "loss": loss if math.isfinite(loss) else None,
        "parameters": parameters,
        "macs": macs,
        "seconds": round(time.monotonic() - started, 3),
        "rejected": rejected,
        "fit": fit,
        "genotype": genotype.to_dict(),
    }


def _draw(
    index: int, dataset, config: Search, board: Board | None
) -> tuple[Genotype, dict[str, Any] | None, list[list[str]]]:
    """A random genotype that keeps the skip cap and the board's budget, how it fits, and why earlier draws did not."""
    rng, rejected = random.Random(f"{config.seed}/{index}"), []
    configs = tuple(front_end_named(name) for name in config.frontends)
    for _ in range(DRAWS):
        chosen = rng.randrange(len(configs))
        normal, reduction = random_cell(rng, config.operations), random_cell(rng, config.operations)
        if config.skip_cap is not None and skip_connections(normal) > config.skip_cap:
            continue
        kept = config.alignment == "preprocess" and config.keep_alignment and len(configs) > 1
        genotype = Genotype(
            dataset.task,
            tuple(dataset.labels),
            configs[chosen],
            normal,
            reduction,
            config.derived_channels or config.channels,
            config.derived_cells or config.cells,
            config.stem_stride,
            config.alignment if len(configs) > 1 else "native",
            alignments(configs, config.alignment_channels)[chosen].to_dict() if kept else None,
        )
        if not board:
            return genotype, None, rejected
        from tinyflow.cost.genotype_fit import exact_fit

        fit = exact_fit(genotype, board)
        if fit.fits:
            return genotype, fit.to_dict(), rejected
        rejected.append(list(fit.reasons))
    reasons = rejected[-1] if rejected else [f"more than {config.skip_cap} skip connections"]
    where = f" on {board.name}" if board else ""
    message = f"none of {DRAWS} random genotypes is allowed{where}: {'; '.join(reasons)}"
    raise TinyflowError(message, "lower search.channels and search.cells, or name a larger board")


def _train(network, data: SearchData, config: Search, name: str, out: Path, progress: Progress) -> float:
    """The search's own schedule for weights over ``random_epochs``; the mean loss of the last epoch."""
    optimizer = torch.optim.SGD(
        network.parameters(), lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
    )
    half, steps, mean = _bfloat16(config, data.device), config.random_epochs * data.steps, math.nan
    network.train()
    with interrupts() as interrupted:
        for epoch in range(config.random_epochs):
            losses = torch.zeros((), device=data.device)
            for step in range(data.steps):
                batch, done = data.training(epoch, step), epoch * data.steps + step
                for group in optimizer.param_groups:
                    group["lr"] = config.learning_rate * 0.5 * (1 + math.cos(math.pi * done / steps))
                with torch.autocast(data.device.type, torch.bfloat16, half):
                    logits = network(batch.features[0].unsqueeze(1))
                loss = F.cross_entropy(logits.float(), batch.labels)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                if config.gradient_clip:
                    torch.nn.utils.clip_grad_norm_(network.parameters(), config.gradient_clip)
                optimizer.step()
                losses += loss.detach()
                progress(name, done + 1, steps, f"epoch {epoch + 1}")
                if interrupted.is_set():
                    message = f"random search was interrupted in {name}; finished candidates are kept in {out}"
                    raise Interrupted(message, "the same command goes on with this candidate")
            mean = float(losses) / data.steps
            if not math.isfinite(mean):
                return mean
    return mean


@torch.no_grad()
def _accuracy(network, data: SearchData, half: bool) -> float:
    """On the held-out part of validation."""
    network.eval()
    right = clips = 0
    for batch in data.proxy():
        with torch.autocast(data.device.type, torch.bfloat16, half):
            answers = network(batch.features[0].unsqueeze(1)).argmax(1)
        right, clips = right + int((answers == batch.labels).sum()), clips + len(batch.labels)
    return right / clips


def _bfloat16(config: Search, device: torch.device) -> bool:
    return config.precision == "bfloat16" or (config.precision == "auto" and device.type == "cuda")


def _what(config: Search) -> dict[str, Any]:
    """The keys that decide a candidate; how many of them there are, and where they are trained, do not."""
    keys = asdict(config)
    for key in ("random_candidates", "random_seconds", "device", "checkpoint_minutes", "compile"):
        del keys[key]
    return keys


def _budget(board: Board | None) -> dict[str, Any] | None:
    return board.facts() if board else None


def _file(index: int) -> str:
    return f"candidate-{index:04}.json"


def _finished(out: Path, key: str) -> list[dict[str, Any]]:
    """Candidates of this very search that lie in ``out``, of all processes."""
    found = [read_json(path) for path in sorted(out.glob("candidate-*.json"))]
    return [
        {name: value for name, value in item.items() if name != "fingerprint"}
        for item in found
        if item.get("fingerprint") == key
    ]


def _best(done: list[dict[str, Any]]) -> str:
    if not done:
        return ""
    best = max(done, key=lambda item: item["accuracy"])
    return f"best {100 * best['accuracy']:.1f} % held out, {best['frontend']}"


def _wait(world: World) -> None:
    if world.size > 1:
        torch.distributed.barrier()
