"""The search (paper, section 3): a warm-up of the weights, then architecture and weights in turn, epoch by epoch.

Everything random is a function of the seed and the position (epoch, step), or lies in the checkpoint: a search that
was interrupted and resumed gives, on the CPU with the same threads, the same result as one that was not.
"""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from tinyflow.artefacts import fingerprint
from tinyflow.board import Board
from tinyflow.frontend.registry import front_end_named
from tinyflow.network.genotype import Genotype
from tinyflow.progress import Progress, silent
from tinyflow.recipe import Search
from tinyflow.search.artefact import GENOTYPE, HISTORY, SearchResult, save_search
from tinyflow.search.cost import Resources
from tinyflow.search.data import SearchData
from tinyflow.search.derive import derive, skip_connections
from tinyflow.search.learnt import LearntFrontend, WaveformData
from tinyflow.search.mixture import DataAwareSupernet, DataMixture
from tinyflow.search.outcome import choose, data_choice, describe, make_genotype, skips_dominate
from tinyflow.search.pictures import PICTURES, search_pictures
from tinyflow.search.proxy import supernet_proxy
from tinyflow.search.steps import Meter, Steps
from tinyflow.search.supernet import EDGES, Supernet
from tinyflow.search.world import current_world, launch
from tinyflow.train.resume import (
    CHECKPOINT,
    interrupted_in,
    interrupts,
    random_state,
    read_checkpoint,
    set_random_state,
    write_checkpoint,
)
from tinyflow.train.training import pick_device

FORMAT = 1  # of the checkpoint
LOOK_EVERY = {"cpu": 1, "cuda": 20}  # steps between two looks at the losses: each waits for the device


def run_search(
    data: Path, config: Search, out: Path, board: Board | None, processes: int, progress: Progress
) -> SearchResult:
    """The search that the recipe asks for, on the dataset in the folder ``data``, shared by ``processes`` processes."""
    return launch(_search_folder, processes, Path(data), config, Path(out), board, progress=progress)


def _search_folder(data: Path, config: Search, out: Path, board: Board | None, progress: Progress) -> SearchResult:
    from tinyflow.data.dataset import load_dataset
    from tinyflow.search.random_search import random_search

    method = random_search if config.method == "random" else search_network
    return method(load_dataset(data), config, out, progress, board)


def search_network(
    dataset, config: Search, out: Path | str, progress: Progress = silent, board: Board | None = None
) -> SearchResult:
    """Search cells and front end on ``dataset`` into the folder ``out``; costs are those on ``board``, if one is named.

    Goes on from ``out/checkpoint.pt`` when that is of the same recipe, board and data. Ctrl-C writes it and raises
    Interrupted, which says how to resume; a loss that is not finite is a TinyflowError at once. In a process group
    (search/world.py) all processes call this alike, and the first one writes.
    """
    out, device, world = Path(out), pick_device(config.device), current_world()
    report = progress if world.main else silent
    if world.main:
        out.mkdir(parents=True, exist_ok=True)
        for name in (GENOTYPE, HISTORY, *PICTURES):  # of an earlier run: not half old, half new
            (out / name).unlink(missing_ok=True)
    configs = tuple(front_end_named(name) for name in config.frontends)
    continuous = config.continuous == "window_hop"
    key = fingerprint(
        {
            "format": FORMAT,
            "search": _what(config),
            "data": dataset.fingerprint,
            "board": board and board.facts(),
        }
    )
    data = (
        WaveformData(dataset, config, device, report, world)
        if continuous
        else SearchData(dataset, configs, config, device, report, world)
    )

    torch.manual_seed(config.seed)
    mixture = (
        LearntFrontend(configs[0], dataset.samples)
        if continuous
        else DataMixture(configs, config.alignment, config.alignment_channels)
    )
    supernet = Supernet(
        data.classes,
        mixture.channels,
        config.channels,
        config.cells,
        config.stem_stride,
        config.operations,
        config.partial,
    )
    bfloat16 = config.precision == "bfloat16" or (config.precision == "auto" and device.type == "cuda")
    network = DataAwareSupernet(mixture, supernet, bfloat16).to(device, memory_format=torch.channels_last)
    world.broadcast(network)
    # window and hop, as they were at the start
    resources = Resources(config, configs[:1] if continuous else configs, data.classes, board)
    steps = Steps(network, config, resources, world)

    epochs: list[dict[str, Any]] = []
    first_epoch, first_step, spent, data_stop, meter = 0, 0, 0.0, None, Meter(device)
    state = read_checkpoint(out / CHECKPOINT, key, device, "search", report)
    if state:
        network.load_state_dict(state["network"])
        steps.sgd.load_state_dict(state["sgd"])
        steps.adam.load_state_dict(state["adam"])
        epochs, first_epoch, first_step, spent, data_stop = (
            state[name] for name in ("epochs", "epoch", "step", "seconds", "data_stop")
        )
        meter = Meter(device, state["meter"])
        set_random_state(state["random"])
        if mixture.winner is not None:
            data.keep([mixture.winner])

    def checkpoint(epoch: int, step: int) -> None:
        """The position also says which validation batch is next, the network's state whether the data search has
        stopped.
        """
        value = {
            "fingerprint": key,
            "network": network.state_dict(),
            "sgd": steps.sgd.state_dict(),
            "adam": steps.adam.state_dict(),
            "random": random_state(),
            "epochs": epochs,
            "epoch": epoch,
            "step": step,
            "meter": meter.values(),
            "data_stop": data_stop,
            "seconds": spent + time.monotonic() - started,
        }
        write_checkpoint(out / CHECKPOINT, value)

    started = saved = time.monotonic()
    with interrupts() as interrupted:
        for epoch in range(first_epoch, config.epochs):
            network.train()
            for step in range(first_step, data.steps):
                if epoch >= config.warmup_epochs:
                    batch = data.validation((epoch - config.warmup_epochs) * data.steps + step)
                    meter.add(1, steps.train_architecture(batch, epoch), batch.total, step)
                batch = data.training(epoch, step)
                meter.add(0, steps.train_weights(batch, epoch + step / data.steps), batch.total, step)
                last = step + 1 == data.steps
                if not last and (step + 1) % LOOK_EVERY[device.type]:
                    continue
                meter.check(steps, epoch, data.steps)
                if last:
                    if epoch >= config.warmup_epochs and mixture.settle(
                        config.gamma_stop_ratio, config.gamma_mode == "collapse"
                    ):
                        data_stop = epoch + 1
                        if mixture.winner is not None:
                            data.keep([mixture.winner])
                    record = _record(epoch, network, data, steps, meter)
                    now = spent + time.monotonic() - started
                    epochs.append({**record, "seconds": round(now - sum(item["seconds"] for item in epochs), 3)})
                    _warn_of_skips(epochs[config.warmup_epochs :], supernet.primitives, report)
                report(
                    "search",
                    epoch * data.steps + step + 1,
                    config.epochs * data.steps,
                    _note(epoch, meter, mixture, epochs, resources),
                )
                if last:
                    meter = Meter(device)
                position = (epoch + 1, 0) if last else (epoch, step + 1)
                due = interrupted.is_set() or time.monotonic() - saved >= 60 * config.checkpoint_minutes
                if world.main and due and position[0] < config.epochs:
                    checkpoint(*position)
                    saved = time.monotonic()
                    if interrupted.is_set():
                        raise interrupted_in("the search", out, epoch, config.epochs)
            first_step = 0

    if world.main:
        checkpoint(config.epochs, 0)
    went = {"epochs": epochs, "data_stop": data_stop, "seconds": round(spent + time.monotonic() - started, 3)}
    try:
        return _finish(out, network, data, dataset, config, board, went, report)
    except KeyboardInterrupt:  # perturbation takes minutes; the state above is kept
        raise interrupted_in("the search", out, config.epochs - 1, config.epochs) from None


def _finish(
    out: Path,
    network: DataAwareSupernet,
    data: SearchData,
    dataset,
    config: Search,
    board: Board | None,
    went: dict[str, Any],
    report: Progress,
) -> SearchResult:
    """Chooses, and writes what was found; ``went``: how the search went, for the history."""
    mixture, epochs, primitives = network.mixture, went["epochs"], network.supernet.primitives
    normal, reduction, frontend = choose(network, data, config, report)
    choice, accuracy = data_choice(mixture, config), supernet_proxy(network, data, normal, reduction, frontend)
    facts = {
        "clips": epochs[-1]["clips"],
        "validation_clips": len(data.search_rows),
        "proxy_accuracy": accuracy,
        "data_choice": choice,
    }
    genotype = make_genotype(network, dataset, config, (normal, reduction), frontend, epochs[-1], facts)
    history = {
        "description": dataset.description,
        "method": "gradient",
        "seed": config.seed,
        "device": str(data.device),
        "threads": torch.get_num_threads(),
        "precision": "bfloat16" if network.bfloat16 else "float32",
        "processes": data.world.size,
        "frontends": [item.name for item in mixture.configs],
        "alignment": mixture.alignment,
        "alignment_layers": [layer.to_dict() for layer in mixture.layers],
        "operations": list(primitives),
        "edges": [[source, node + 2] for node, source in EDGES],
        "warmup_epochs": config.warmup_epochs,
        "proxy_accuracy": accuracy,
        "board": board.name if board else None,
        "fit": _fit(genotype, board),
        **went,
    }
    found = {
        **epochs[-1],
        "skip_connections": {"normal": skip_connections(normal), "reduction": skip_connections(reduction)},
    }
    warnings = [warning] if (warning := skips_dominate(found, primitives)) else []
    warnings += [f"gamma did not choose: {choice}"] if choice.startswith("not met") else []
    warnings += [f"the network found does not fit: {reason}" for reason in (history["fit"] or {}).get("reasons", ())]
    for warning in warnings:
        report("search", 0, 0, f"warning: {warning}")
    if data.world.main:
        search_pictures(out, genotype, history)
        save_search(out, genotype, history, tuple(warnings), choice)
    return SearchResult(out, genotype, history, tuple(warnings), choice)


def _record(epoch: int, network: DataAwareSupernet, data: SearchData, steps: Steps, meter: Meter) -> dict[str, Any]:
    """An epoch of the history, but its seconds."""
    config, mixing, gamma = steps.config, network.supernet.mixing(), network.mixture.softmax()
    normal, reduction = derive(mixing, config.operations, config.skip_cap)
    loss, architecture_loss, clips = meter.means()
    with torch.no_grad():
        expected = {name: float(value) for name, value in steps.resources.expected(mixing, gamma)._asdict().items()}
    learnt = {"frontend": network.mixture.describe()} if isinstance(network.mixture, LearntFrontend) else {}
    return {
        "epoch": epoch + 1,
        "loss": loss,
        "architecture_loss": architecture_loss,
        "clips": clips,
        **describe(network, config),
        "proxy_accuracy": supernet_proxy(network, data, normal, reduction, int(gamma.argmax())),
        "expected": expected,
        **learnt,
        "learning_rates": {
            "weights": steps.learning_rate(epoch),
            "architecture": config.arch_learning_rate,
            "gamma": config.gamma_learning_rate,
        },
    }


def _warn_of_skips(epochs: list[dict[str, Any]], operations: tuple[str, ...], report: Progress) -> None:
    """Says once that skip connections have come to dominate; ``epochs`` behind the warm-up."""
    *before, warning = (None, None, *(skips_dominate(item, operations) for item in epochs[-2:]))
    if warning and not before[-1]:
        report("search", 0, 0, f"warning: {warning}")


def _note(
    epoch: int, meter: Meter, mixture: DataMixture | LearntFrontend, epochs: list[dict[str, Any]], resources: Resources
) -> str:
    """Loss, the leading front ends, and what the network is expected to cost, against the board's budgets."""
    loss, _, clips = meter.means()
    parts = [f"epoch {epoch + 1}"] + ([f"loss {loss:.3f}"] if clips else [])
    if len(mixture.configs) > 1:
        shares, places = mixture.shares().detach().topk(min(3, len(mixture.configs)))
        leading = (
            f"{mixture.configs[place].name} {share:.3f}" for share, place in zip(shares.tolist(), places.tolist())
        )
        parts.append("gamma " + ", ".join(leading) + (" (stopped)" if mixture.stopped else ""))
    if isinstance(mixture, LearntFrontend):
        now = mixture.describe()
        parts.append(f"window {now['window']:.0f}, hop {now['hop']:.0f} samples")
    if epochs:
        parts.append(f"proxy {100 * epochs[-1]['proxy_accuracy']:.1f} %")
        of = [
            f" of {budget / unit:.0f}" if budget else ""
            for budget, unit in zip(resources.budgets or (0, 0, 0), (1e6, 1e3, 1024))
        ]
        expected = epochs[-1]["expected"]
        parts.append(
            f"expected {expected['instructions'] / 1e6:.1f}{of[0]} M instructions/s, RAM"
            f" {expected['memory'] / 1024:.0f}{of[2]} KiB of activations, flash"
            f" {expected['parameters'] / 1e3:.0f}{of[1]} K parameters"
        )
    return ", ".join(parts)


def _what(config: Search) -> dict[str, Any]:
    """The part of the recipe that decides the result; where it runs and how often it saves do not."""
    return {
        key: value for key, value in asdict(config).items() if key not in ("device", "checkpoint_minutes", "compile")
    }


def _fit(genotype: Genotype, board: Board | None) -> dict[str, Any] | None:
    """The derived network on the board, by the compiler's own planner."""
    if board is None:
        return None
    from tinyflow.cost.genotype_fit import exact_fit

    return exact_fit(genotype, board).to_dict()
