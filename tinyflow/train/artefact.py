"""TrainedModel: what train hands to evaluate and compile."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyflow.artefacts import read_json, write_bytes, write_json
from tinyflow.errors import TinyflowError
from tinyflow.frontend.scaler import Scaler
from tinyflow.network.genotype import Genotype, read_genotype

if TYPE_CHECKING:
    from torch import nn

GENOTYPE, WEIGHTS, SCALER, HISTORY = "genotype.json", "weights.safetensors", "scaler.json", "history.json"


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """Weights with what they need to be used: genotype, scaler, history; its files are in ``folder``."""

    folder: Path
    genotype: Genotype
    # build_network(genotype) in eval mode on the CPU: scaled features (N, 1, frames, features) to logits (N, classes)
    network: Any
    scaler: Scaler
    history: dict[str, Any]  # "epochs": one dict each; "weights": "last" or "ema"
    description: str  # which recordings it learnt from, e.g. "synthetic"
    parameters: int  # before folding, batch norm included
    macs: int  # nominal, pruned size


def save_trained(
    folder: Path, genotype: Genotype, network: "nn.Module", scaler: Scaler, history: dict[str, Any]
) -> None:
    from safetensors.torch import save

    genotype.write(folder / GENOTYPE)
    write_json(folder / SCALER, scaler.to_dict())
    write_bytes(
        folder / WEIGHTS,
        save({name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}),
    )
    write_json(folder / HISTORY, history)


def load_trained(folder: Path | str) -> TrainedModel:
    """The model in ``folder``; TinyflowError when a file is missing or does not fit the others."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from tinyflow.network.build import build_network

    folder = Path(folder)
    again = "run `tinyflow train` again"
    genotype, history = read_genotype(folder / GENOTYPE), read_json(folder / HISTORY)
    scaler = Scaler.from_dict(read_json(folder / SCALER))
    network = build_network(genotype)
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except FileNotFoundError:
        raise TinyflowError(f"{folder / WEIGHTS} does not exist", again) from None
    except (RuntimeError, SafetensorError) as error:
        raise TinyflowError(f"{folder / WEIGHTS} does not fit {folder / GENOTYPE}: {str(error)[:300]}", again) from None
    try:
        facts = {key: history[key] for key in ("description", "parameters", "macs")}
    except (KeyError, TypeError):
        raise TinyflowError(f"{folder / HISTORY} was written by another version of tinyflow", again) from None
    return TrainedModel(folder, genotype, network.eval(), scaler, history, **facts)
