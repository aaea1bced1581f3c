"""Training of the derived network: SGD or AdamW with a cosine schedule, as PC-DARTS (Xu et al., 2020).

Everything random is a function of the seed and the position (epoch, step), or lies in the checkpoint: a run that
was interrupted and resumed gives, on the CPU with the same threads, the same weights as one that was not.
"""

import math
import time
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from tinyflow.artefacts import fingerprint
from tinyflow.data.dataset import Dataset
from tinyflow.errors import TinyflowError
from tinyflow.frontend.scaler import Scaler
from tinyflow.network.build import build_network
from tinyflow.network.count import count
from tinyflow.network.genotype import Genotype
from tinyflow.network.module import DerivedNetwork
from tinyflow.progress import Progress, silent
from tinyflow.recipe import Train
from tinyflow.train.artefact import GENOTYPE, HISTORY, SCALER, WEIGHTS, TrainedModel, load_trained, save_trained
from tinyflow.train.batches import Batches, feature_chunks, fit_scaler
from tinyflow.train.pictures import history_picture
from tinyflow.train.resume import (
    CHECKPOINT,
    interrupted_in,
    interrupts,
    random_state,
    read_checkpoint,
    set_random_state,
    write_checkpoint,
)

FORMAT = 1  # of the checkpoint


def train_model(
    genotype: Genotype, dataset: Dataset, config: Train, out: Path | str, progress: Progress = silent
) -> TrainedModel:
    """Train the network of ``genotype`` on ``dataset`` into the folder ``out``.

    Goes on from ``out/checkpoint.pt`` when that is of the same genotype, recipe and data. Ctrl-C writes it and raises
    Interrupted, which says how to resume; a loss that is not finite is a TinyflowError at once. The weights kept are
    the last, or their moving average; validation is measured every epoch and chooses nothing.
    """
    out, device = Path(out), pick_device(config.device)
    if genotype.labels != tuple(dataset.labels):
        raise TinyflowError(
            f"the genotype's labels {list(genotype.labels)} are not the data's {list(dataset.labels)}",
            "genotype.with_task(dataset.task, dataset.labels)",
        )
    if len(dataset.split("training").labels) < 2:
        raise TinyflowError("there are fewer than 2 training clips", "check the data stage: tinyflow data")
    out.mkdir(parents=True, exist_ok=True)
    for name in (GENOTYPE, SCALER, WEIGHTS, HISTORY, "history.png"):  # of an earlier run: not half old, half new
        (out / name).unlink(missing_ok=True)

    parameters, macs = count(build_network(genotype.pruned()), (1, *genotype.frontend.shape))
    torch.manual_seed(config.seed)
    network = build_network(genotype)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack it
    average = deepcopy(network) if config.ema_decay else None
    optimizer = _optimizer(network, config)
    key = fingerprint(
        {"format": FORMAT, "genotype": genotype.identity(), "train": _what(config), "data": dataset.fingerprint}
    )
    state = read_checkpoint(out / CHECKPOINT, key, device, "train", progress)
    progress("train", 0, 0, f"{parameters} parameters, {macs / 1e6:.2f} M MACs; features")
    scaler = Scaler.from_dict(state["scaler"]) if state else fit_scaler(dataset, genotype.frontend, config.seed, device)
    batches = Batches(dataset, genotype.frontend, scaler, config.augment, config.batch_size, config.seed, device)
    validation = _validation(dataset, batches)

    epochs: list[dict[str, Any]] = []
    first_epoch, first_step, sums, spent = 0, 0, [0.0, 0, 0], 0.0
    if state:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        if average:
            average.load_state_dict(state["average"])
        epochs, first_epoch, first_step, sums, spent = (
            state[name] for name in ("epochs", "epoch", "step", "sums", "seconds")
        )
        set_random_state(state["random"])

    def checkpoint(epoch: int, step: int) -> None:
        value = {
            "fingerprint": key,
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "random": random_state(),
            "average": average.state_dict() if average else None,
            "scaler": scaler.to_dict(),
            "epochs": epochs,
            "epoch": epoch,
            "step": step,
            "sums": sums,
            "seconds": spent + time.monotonic() - started,
        }
        write_checkpoint(out / CHECKPOINT, value)

    started = saved = time.monotonic()
    with interrupts() as interrupted:
        for epoch in range(first_epoch, config.epochs):
            order = dataset.training_epoch(epoch, config.seed)
            steps = batches.steps(len(order.labels))
            network.train()
            if isinstance(network, DerivedNetwork):  # DARTS raises it linearly
                network.drop_path = config.drop_path * epoch / config.epochs
            for step in range(first_step, steps):
                part = slice(step * config.batch_size, (step + 1) * config.batch_size)
                labels = torch.from_numpy(np.asarray(order.labels[part])).to(device)
                inputs = batches.batch(order.audio_rows[part], epoch, step)
                rate = learning_rate(config, epoch + step / steps)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                logits = network(inputs)
                loss = F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing)
                value = float(loss.detach())
                if not math.isfinite(value):
                    raise TinyflowError(
                        f"the loss is {value} in epoch {epoch + 1}, step {step + 1} of {steps} (learning rate"
                        f" {rate:.4g})",
                        "lower train.learning_rate, raise train.warmup_epochs or set train.gradient_clip",
                    )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                if config.gradient_clip:
                    torch.nn.utils.clip_grad_norm_(network.parameters(), config.gradient_clip)
                optimizer.step()
                if average:
                    _update(average, network, config.ema_decay, epoch * steps + step)
                right = int((logits.detach().argmax(1) == labels).sum())
                sums = [sums[0] + value * len(labels), sums[1] + right, sums[2] + len(labels)]
                note = f"epoch {epoch + 1}, loss {sums[0] / sums[2]:.3f}" + _latest(epochs)
                progress("train", epoch * steps + step + 1, config.epochs * steps, note)
                late = time.monotonic() - saved >= 60 * config.checkpoint_minutes
                if (late or interrupted.is_set()) and step + 1 < steps:
                    checkpoint(epoch, step + 1)
                    saved = time.monotonic()
                    if interrupted.is_set():
                        raise interrupted_in("training", out, epoch, config.epochs)
            accuracy = _accuracy(average or network, validation, config.batch_size)
            now = spent + time.monotonic() - started
            epochs.append(
                {
                    "epoch": epoch + 1,
                    "loss": sums[0] / sums[2],
                    "accuracy": sums[1] / sums[2],
                    "validation_accuracy": accuracy,
                    "learning_rate": rate,
                    "clips": sums[2],
                    "seconds": round(now - sum(item["seconds"] for item in epochs), 3),
                }  # fmt: skip
            )
            first_step, sums = 0, [0.0, 0, 0]
            if interrupted.is_set() and epoch + 1 < config.epochs:
                checkpoint(epoch + 1, 0)
                raise interrupted_in("training", out, epoch, config.epochs)

    history = {
        "description": dataset.description,
        "parameters": parameters,
        "macs": macs,
        "weights": "ema" if average else "last",
        "device": str(device),
        "threads": torch.get_num_threads(),
        "epochs": epochs,
    }
    save_trained(out, genotype, average or network, scaler, history)
    history_picture(history, out / "history.png")
    (out / CHECKPOINT).unlink(missing_ok=True)
    return load_trained(out)


def pick_device(name: str) -> torch.device:
    """``auto``: the first GPU when there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise TinyflowError(f"device {name!r}: {error}", "auto, cpu, cuda or cuda:1") from None
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise TinyflowError(
            f"device {name!r}: this machine has {torch.cuda.device_count()} CUDA devices", "--device cpu"
        )
    return device


def learning_rate(config: Train, epoch: float) -> float:
    """Linear warm-up, then half a cosine to 0; ``epoch`` counts in fractions."""
    if epoch < config.warmup_epochs:
        return config.learning_rate * max(epoch, 1e-2) / config.warmup_epochs
    done = (epoch - config.warmup_epochs) / max(config.epochs - config.warmup_epochs, 1e-9)
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))


def _optimizer(network: torch.nn.Module, config: Train) -> torch.optim.Optimizer:
    if config.optimizer == "adamw":
        return torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    return torch.optim.SGD(
        network.parameters(), lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay
    )


def _what(config: Train) -> dict[str, Any]:
    """The part of the recipe that decides the weights; where it runs and how often it saves do not."""
    value = asdict(config)
    del value["device"], value["checkpoint_minutes"]
    return value


@torch.no_grad()
def _update(average: torch.nn.Module, network: torch.nn.Module, decay: float, step: int) -> None:
    decay = min(decay, (1 + step) / (10 + step))  # the first steps are soon forgotten
    for kept, new in zip(average.state_dict().values(), network.state_dict().values()):
        kept.lerp_(new, 1 - decay) if kept.is_floating_point() else kept.copy_(new)


def _validation(dataset: Dataset, batches: Batches) -> tuple[torch.Tensor, torch.Tensor]:
    split = dataset.split("validation")
    chunks = [batches.scaler.apply(chunk) for chunk in feature_chunks(batches.module, split.audio, batches.device)]
    labels = torch.from_numpy(np.array(split.labels)).to(batches.device)
    return (torch.cat(chunks).unsqueeze(1) if chunks else torch.empty(0)), labels


@torch.no_grad()
def _accuracy(network: torch.nn.Module, validation: tuple[torch.Tensor, torch.Tensor], batch: int) -> float | None:
    features, labels = validation
    if not len(labels):
        return None
    network.eval()
    parts = zip(features.split(batch), labels.split(batch))
    right = sum(int((network(part).argmax(1) == truth).sum()) for part, truth in parts)
    return right / len(labels)


def _latest(epochs: list[dict[str, Any]]) -> str:
    accuracy = epochs[-1]["validation_accuracy"] if epochs else None
    return "" if accuracy is None else f", validation {100 * accuracy:.1f} %"
