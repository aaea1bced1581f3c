"""The plain supernet with the weights of ours: the oracle of the supernet's tests."""

import importlib.util
from pathlib import Path

import torch

from tinyflow.search.supernet import EDGES, LEAVING, Supernet

_spec = importlib.util.spec_from_file_location(
    "plain_search", Path(__file__).parent.parent / "benchmarks" / "plain_search.py"
)
plain_search = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(plain_search)
PlainSupernet = plain_search.PlainSupernet


def pairs(ours: Supernet, plain: torch.nn.Module):
    """(parameter of ours or a slice of it, parameter of plain, ...) for every weight."""
    yield ours.stem.weight, plain.stem[0].weight, ()
    yield ours.classifier.weight, plain.classifier.weight, ()
    yield ours.classifier.bias, plain.classifier.bias, ()
    for cell, simple in zip(ours.cells, plain.cells):
        if hasattr(cell.before, "taps"):
            half = simple.before.even.weight.shape[0]
            yield cell.before.weight, simple.before.even.weight, (0, slice(None, half))
            yield cell.before.weight, simple.before.odd.weight, (0, slice(half, None))
        else:
            yield cell.before.weight, simple.before[1].weight, ()
        yield cell.last.weight, simple.last[1].weight, ()
        for edge, (_, source) in enumerate(EDGES):
            bundle, slot = cell.bundles[source], LEAVING[source].index(edge)
            for name, stages in bundle.convolutions.items():
                module = simple.edges[edge].operations[ours.primitives.index(name)]
                if name == "skip_connect":
                    half = module.even.weight.shape[0]
                    yield stages[0].weight, module.even.weight, (slot, slice(None, half))
                    yield stages[0].weight, module.odd.weight, (slot, slice(half, None))
                    continue
                convolutions = [layer for layer in module.modules() if isinstance(layer, torch.nn.Conv2d)]
                for stage in stages:
                    yield stage.depthwise, convolutions.pop(0).weight, (slot,)
                    if isinstance(stage.pointwise, torch.nn.Parameter):
                        yield stage.pointwise, convolutions.pop(0).weight, (slot,)
    for ours_parameter, plain_parameter in zip(
        ours.architecture(), (plain.alpha_normal, plain.alpha_reduction, plain.beta_normal, plain.beta_reduction)
    ):
        yield ours_parameter, plain_parameter, ()


@torch.no_grad()
def plain_of(ours: Supernet, classes: int, **arguments) -> torch.nn.Module:
    """A plain supernet, built with ``arguments``, with the weights, alpha and beta of ours."""
    plain = PlainSupernet(classes, **arguments)
    for source, target, index in pairs(ours, plain):
        target.copy_(source[index].reshape(target.shape))
    return plain.train(ours.training)
