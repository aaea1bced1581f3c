"""Genotype: what search hands to train and compile. Enough to rebuild the network anywhere.

The JSON schema is documented in docs/genotype.md. A cell is written as four intermediate nodes of two
edges; an edge is [operation, source], source 0 and 1 being the cell's two inputs and 2.. earlier nodes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tinyflow.artefacts import read_json, write_json
from tinyflow.errors import TinyflowError
from tinyflow.frontend.protocol import FrontEnd
from tinyflow.frontend.registry import front_end_of
from tinyflow.network.operations import facts

SCHEMA_VERSION = 3
# 1 had no architecture and no mcu operations; 1 and 2 had the front end as `mfcc`, without its kind
READABLE_VERSIONS = (1, 2, 3)
NODES = 4

ARCHITECTURES = ("cells", "ds_cnn")
ALIGNMENTS = ("native", "preprocess", "zero_pad")


@dataclass(frozen=True)
class Edge:
    operation: str
    source: int


Fail = Callable[..., TinyflowError]  # (message, hint) of a wrong genotype
Node = tuple[Edge, Edge]
Cell = tuple[Node, ...]  # NODES of them


@dataclass(frozen=True)
class Genotype:
    """What decides a network: front end, cells and sizes (docs/genotype.md)."""

    task: str
    labels: tuple[str, ...]
    frontend: FrontEnd
    normal: Cell
    reduction: Cell
    channels: int = 16  # C: channels of the first cells' operations (paper size 16)
    cells: int = 8  # L: cells in the stack, reductions at L//3 and 2L//3
    stem_stride: int = 1  # paper size 1, board-sized recipes 2
    alignment: str = "native"
    # preprocess: the kept layer, {"kernel", "stride": [2], "size": [frames, coefficients], "channels"}
    # (network/alignment.py); zero_pad: {"size": [frames, coefficients]} to run padded and masked; None: the front
    # end's own size
    alignment_layer: dict[str, Any] | None = None
    architecture: str = "cells"  # ds_cnn: the baseline network on the same front end, cells unused
    provenance: dict[str, Any] = field(default_factory=dict)

    def with_task(self, task: str, labels: tuple[str, ...]) -> "Genotype":
        """The same network for another task: only the classifier's width changes."""
        return replace(self, task=task, labels=labels)

    @property
    def padded_size(self) -> tuple[int, int] | None:
        """The size that the network runs padded to, masked; None: it runs at its features' own, as the baseline always
        does.
        """
        layer = self.alignment_layer if self.alignment == "zero_pad" and self.architecture == "cells" else None
        return (layer["size"][0], layer["size"][1]) if layer else None

    def pruned(self) -> "Genotype":
        """The same network without its zero padding (paper, section 3.3: it can be chipped away)."""
        return replace(self, alignment_layer=None) if self.padded_size else self

    @property
    def reductions(self) -> tuple[int, ...]:
        """Indices of the reduction cells: one and two thirds of the depth (paper, section 3)."""
        return tuple(sorted({self.cells // 3, 2 * self.cells // 3})) if self.cells >= 3 else tuple(range(1, self.cells))

    def to_dict(self) -> dict[str, Any]:
        def cell(nodes: Cell) -> list[Any]:
            return [[[edge.operation, edge.source] for edge in node] for node in nodes]

        return {
            "schema_version": SCHEMA_VERSION,
            "task": self.task,
            "labels": list(self.labels),
            "frontend": self.frontend.to_dict(),
            "normal": cell(self.normal),
            "reduction": cell(self.reduction),
            "channels": self.channels,
            "cells": self.cells,
            "stem_stride": self.stem_stride,
            "alignment": self.alignment,
            "alignment_layer": self.alignment_layer,
            "architecture": self.architecture,
            "provenance": self.provenance,
        }

    def identity(self) -> dict[str, Any]:
        """What decides the network, for fingerprints: as version 2 of the schema wrote it where it could, so that a new
        version discards no training."""
        value = self.to_dict()
        if self.frontend.kind == "mfcc":
            mfcc = value.pop("frontend")
            del mfcc["kind"]
            value |= {"schema_version": 2, "mfcc": mfcc}
        return value

    def write(self, path: Path | str) -> None:
        write_json(path, self.to_dict())


def read_genotype(path: Path | str) -> Genotype:
    """The genotype in ``path``; TinyflowError names the file, the field and the value when it breaks the schema."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise TinyflowError(f"{path} holds a {type(value).__name__}, not a genotype", "see docs/genotype.md")
    return genotype_from_dict(value, str(path))


def genotype_from_dict(value: dict[str, Any], where: str = "genotype") -> Genotype:
    def fail(message: str, hint: str = "see docs/genotype.md") -> TinyflowError:
        return TinyflowError(f"{where}: {message}", hint)

    value = dict(value)
    version = value.pop("schema_version", None)
    if version not in READABLE_VERSIONS:
        raise fail(
            f"schema_version is {version!r}",
            f"this tinyflow reads schema_version {' and '.join(map(str, READABLE_VERSIONS))}",
        )
    if version < 3 and "mfcc" in value:
        mfcc = value.pop("mfcc")
        value["frontend"] = {"kind": "mfcc", **mfcc} if isinstance(mfcc, dict) else mfcc
    known = set(Genotype.__dataclass_fields__)
    for key in value:
        if key not in known:
            near = get_close_matches(key, known, 1)
            raise fail(
                f"unknown field {key!r}",
                f"did you mean {near[0]!r}?" if near else f"known fields: {', '.join(sorted(known))}",
            )
    for key in ("task", "labels", "frontend", "normal", "reduction"):
        if key not in value:
            raise fail(f"{key!r} is missing")
    for key in ("normal", "reduction"):
        value[key] = _cell(value[key], key, fail)
    if not isinstance(value["frontend"], dict):
        raise fail(
            f"frontend is {value['frontend']!r}",
            'an object such as {"kind": "mfcc", "window": 640, "hop": 320, "n_mels": 40}',
        )
    try:
        value["frontend"] = front_end_of(value["frontend"])
    except TinyflowError as error:
        raise fail(error.message, error.hint) from None
    labels = value["labels"]
    if (
        not isinstance(labels, list)
        or not all(isinstance(label, str) for label in labels)
        or len(set(labels)) != len(labels)
    ):
        raise fail(f"labels is {labels!r}", "a list of distinct strings (empty: the recipe's task decides)")
    value["labels"] = tuple(labels)
    for key, least in (("channels", 1), ("cells", 1), ("stem_stride", 1)):
        if key in value and (not isinstance(value[key], int) or isinstance(value[key], bool) or value[key] < least):
            raise fail(f"{key} is {value[key]!r}", f"{key} is a whole number from {least}")
    if value.get("stem_stride", 1) > 2:
        raise fail(f"stem_stride is {value['stem_stride']}", "1 or 2")
    if value.get("alignment", "native") not in ALIGNMENTS:
        raise fail(f"alignment is {value['alignment']!r}", f"one of {', '.join(ALIGNMENTS)}")
    if value.get("architecture", "cells") not in ARCHITECTURES:
        raise fail(f"architecture is {value['architecture']!r}", f"one of {', '.join(ARCHITECTURES)}")
    _check_alignment_layer(value, fail)
    return Genotype(**value)


def _check_alignment_layer(value: dict[str, Any], fail: Fail) -> None:
    """What the layer of each alignment holds, and the least of every number; null is always right."""
    alignment, layer = value.get("alignment", "native"), value.get("alignment_layer")
    if layer is None:
        return
    if alignment == "native":
        raise fail(f"alignment_layer is {layer!r}", "null: the native alignment has no layer")
    if alignment == "preprocess":
        least, example = (
            {"kernel": 1, "stride": (1, 1), "size": (1, 1), "channels": 1},
            '{"kernel": 3, "stride": [2, 1], "size": [49, 40], "channels": 1}',
        )
    else:
        least, example = {"size": value["frontend"].shape}, '{"size": [157, 80]}, nowhere smaller than the features'
    hint = f"with alignment {alignment}: null (native size), or for example {example}"
    if not isinstance(layer, dict) or set(layer) != set(least):
        raise fail(f"alignment_layer is {layer!r}", hint)
    for key, low in least.items():
        lows = low if isinstance(low, tuple) else [low]
        numbers = layer[key] if isinstance(low, tuple) else [layer[key]]
        whole = (
            isinstance(numbers, list) and len(numbers) == len(lows) and all(type(number) is int for number in numbers)
        )
        if not whole or any(number < bound for number, bound in zip(numbers, lows)):
            raise fail(f"alignment_layer.{key} is {layer[key]!r}", hint)
    if not layer.get("kernel", 1) % 2:
        raise fail(f"alignment_layer.kernel is {layer['kernel']}", "an odd number: its padding is symmetric")


def _cell(value: Any, name: str, fail: Fail) -> Cell:
    if not isinstance(value, list) or len(value) != NODES:
        raise fail(f"{name} needs {NODES} nodes, each of two [operation, source] edges, not {value!r}")
    nodes = []
    for index, node in enumerate(value):
        if not isinstance(node, list) or len(node) != 2:
            raise fail(f"{name} node {index} needs two edges, not {node!r}")
        edges = []
        for edge in node:
            if not isinstance(edge, list) or len(edge) != 2:
                raise fail(f"{name} node {index}: an edge is [operation, source], not {edge!r}")
            operation, source = edge
            try:
                facts(operation)
            except TinyflowError as error:
                raise fail(f"{name} node {index}: {error.message}", error.hint) from None
            if not isinstance(source, int) or isinstance(source, bool) or not 0 <= source < index + 2:
                raise fail(
                    f"{name} node {index}: source is {source!r}",
                    f"0 to {index + 1}: the cell's inputs and the nodes before",
                )
            edges.append(Edge(operation, source))
        nodes.append((edges[0], edges[1]))
    return tuple(nodes)
