"""What a search has come to: the state of alpha, beta and gamma as numbers, the choices made of them, the genotype."""

import math
from typing import Any

import torch
from torch import Tensor

from tinyflow.network.genotype import NODES, Cell, Genotype
from tinyflow.network.operations import skips
from tinyflow.progress import Progress, silent
from tinyflow.recipe import Search
from tinyflow.search.artefact import NOT_DATA_AWARE
from tinyflow.search.data import SearchData
from tinyflow.search.derive import derive, skip_connections
from tinyflow.search.learnt import LearntFrontend
from tinyflow.search.mixture import DataAwareSupernet, DataMixture


def describe(network: DataAwareSupernet, config: Search) -> dict[str, Any]:
    """The softmaxes, their entropies (0: decided, 1: flat; means over edges and nodes), skip connections of the cells
    now.
    """
    mixing, gamma = network.supernet.mixing(), network.mixture.shares()
    normal, reduction = derive(mixing, config.operations, config.skip_cap)
    alphas, betas = (mixing.normal_alpha, mixing.reduction_alpha), (mixing.normal_beta, mixing.reduction_beta)
    return {
        "alpha_normal": alphas[0].tolist(),
        "alpha_reduction": alphas[1].tolist(),
        "beta_normal": betas[0].tolist(),
        "beta_reduction": betas[1].tolist(),
        "gamma": gamma.tolist(),
        "entropy_alpha": _entropy([row for alpha in alphas for row in alpha]),
        "entropy_beta": _entropy([part for beta in betas for part in beta.split([node + 2 for node in range(NODES)])]),
        "entropy_gamma": _entropy([gamma]),
        "skip_connections": {"normal": skip_connections(normal), "reduction": skip_connections(reduction)},
    }


def _entropy(distributions: list[Tensor]) -> float | None:
    """Mean entropy of distributions, each as a share of the largest possible; None where there is nothing to choose."""
    if len(distributions[0]) < 2:
        return None
    parts = [float(torch.special.entr(part.detach().double()).sum()) / math.log(len(part)) for part in distributions]
    return sum(parts) / len(parts)


def choose(
    network: DataAwareSupernet, data: SearchData, config: Search, progress: Progress = silent
) -> tuple[Cell, Cell, int]:
    """The normal cell, the reduction cell and the front end's index, each selected as the recipe says."""
    supernet, mixture = network.supernet, network.mixture
    normal, reduction = derive(supernet.mixing(), config.operations, config.skip_cap)
    frontend = int(mixture.softmax().argmax())
    if "perturbation" not in (config.operation_selection, config.frontend_selection):
        return normal, reduction, frontend
    from tinyflow.search.perturbation import select_frontend, select_operations

    one_pass = range(-(-len(data.search_rows) // config.batch_size))
    with torch.autocast(data.device.type, torch.bfloat16, network.bfloat16):
        if config.operation_selection == "perturbation":
            batches = (data.validation(step) for step in one_pass)
            normal, reduction = select_operations(
                supernet, mixture, batches, config.operations, config.skip_cap, config.seed, progress
            )
        if config.frontend_selection == "perturbation":
            frontend = select_frontend(supernet, mixture, (data.validation(step) for step in one_pass), progress)
    return normal, reduction, frontend


def data_choice(mixture: DataMixture | LearntFrontend, config: Search) -> str:
    """Whether a front end was chosen: what SearchResult.data_choice says."""
    if isinstance(mixture, LearntFrontend):
        return "chosen by gradient descent on window and hop"
    if len(mixture.configs) == 1:
        return NOT_DATA_AWARE
    if config.frontend_selection == "perturbation" and mixture.winner is None:
        return "chosen by perturbation"
    if mixture.stopped:
        return "chosen"
    best = mixture.configs[int(mixture.gamma.argmax())].name
    return (
        f"not met: no data choice was made; the largest softmax of gamma, {best}'s"
        f" {float(mixture.softmax().max()):.3f}, is {mixture.ratio():.2f} times the second, the stop rule wants"
        f" {config.gamma_stop_ratio:g}; the arg max stands in"
    )


def skips_dominate(state: dict[str, Any], operations: tuple[str, ...]) -> str | None:
    """The warning, if ``state`` (of ``describe``) has more than half skip connections in the normal cell, or in its
    alpha.
    """
    share = sum(row[index] for index in skips(operations) for row in state["alpha_normal"]) / len(state["alpha_normal"])
    count = state["skip_connections"]["normal"]
    if count <= 4 and share <= 0.5:
        return None
    return (
        f"skip connections dominate: {count} of 8 edges of the normal cell, {100 * share:.0f} % of its alpha; try"
        " search.beta_decay, skip_cap or operation_selection=perturbation"
    )


def make_genotype(
    network: DataAwareSupernet,
    dataset,
    config: Search,
    cells: tuple[Cell, Cell],
    frontend: int,
    state: dict[str, Any],
    facts: dict[str, Any],
) -> Genotype:
    """``state``: the last epoch's; ``facts``: what else the provenance says."""
    mixture = network.mixture
    kept = mixture.alignment == "preprocess" and config.keep_alignment
    provenance = {
        "method": "gradient", "seed": config.seed, "epochs": config.epochs, "description": dataset.description, **facts,
        "gamma": {front_end.name: share for front_end, share in zip(mixture.configs, state["gamma"])},
        **{name: {kind: state[f"{name}_{kind}"] for kind in ("normal", "reduction")} for name in ("alpha", "beta")},
    }  # fmt: skip
    return Genotype(
        dataset.task, tuple(dataset.labels), mixture.configs[frontend], *cells,
        config.derived_channels or config.channels, config.derived_cells or config.cells, config.stem_stride,
        mixture.alignment, mixture.layers[frontend].to_dict() if kept else None, provenance=provenance,
    )  # fmt: skip
