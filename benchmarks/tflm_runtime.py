"""TensorFlow Lite Micro on the same emulated board, in the same firmware, by the same counter: the other side of
benchmarks/kernels.py.

Every library below TFLM_ROOT for the board's core is a side of its own (docs/tflm.md says what TFLM_ROOT wants). Around
both runtimes is the same app; TFLM's arena is the smallest that its own allocator accepts.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from network_counts import sort

from tinyflow.board import Board
from tinyflow.compile.artefact import CompiledModel
from tinyflow.deploy.build import build
from tinyflow.deploy.places.place import choose_place
from tinyflow.deploy.profile import profile
from tinyflow.deploy.run import run_rows
from tinyflow.deploy.target import Target
from tinyflow.deploy.tflm.library import Tflm, check_compiler, libraries
from tinyflow.results import to_json


def sides(board: Board) -> list[Tflm]:
    """Release builds for the core of ``board``, reference kernels first; none where TFLM_ROOT is not set."""
    if not os.environ.get("TFLM_ROOT"):
        return []
    check_compiler()
    found = [tflm for tflm in libraries() if tflm.arch == board.core.tflm and tflm.build == "release"]
    for tflm in found:
        tflm.check()
    return found[::-1]


def name_of(tflm: Tflm) -> str:
    return f"TFLM {'+ CMSIS-NN' if tflm.cmsis_nn else 'reference'}"


def count_tflm(tflm: Tflm, compiled: CompiledModel, board: Board, x: np.ndarray, folder: Path) -> dict[str, Any]:
    """The file of ``compiled`` under TFLM on ``board``, fed with int8 ``x``: counts as of our own side, and
    ``outputs``.
    """
    firmware = build(compiled, board, folder, runtime="tflm", tflm=tflm)
    outputs, facts = run_rows(Target(firmware, compiled, choose_place(board)), x)
    counted = profile(Target(firmware, compiled, choose_place(board))).layers
    layers = [
        {"kind": op.kind, "sort": sort(op), "tensor": op.tensor, "macs": op.macs, "instructions": layer.units}
        for op, layer in zip(firmware.operators, counted, strict=True)
    ]
    return {"kernels": name_of(tflm), "label": "counted", **to_json(facts), "layers": layers, "outputs": outputs}
