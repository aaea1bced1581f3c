"""TensorFlow Lite Micro on the same emulated board, counted by the same counter: the other side of benchmarks/kernels.py.

TFLM_ROOT names a checkout of tensorflow/tflite-micro in which its own build made libtensorflow-microlite.a for the target
cortex_m_generic and cortex-m4+fp: plain, with OPTIMIZED_KERNEL_DIR=cmsis_nn, or both.

Each library found below it is one side. The firmware around it, tflm/main.cc, is start-up, a console that only writes, the model and
the interpreter: less than the app around our own kernels, which has a console that listens too.
"""

import os
import shutil
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from network_counts import sort_of

from tinyflow.board import Board
from tinyflow.deploy.linker import linker_script
from tinyflow.deploy.process import ProcessTransport
from tinyflow.deploy.qemu import PROGRAM
from tinyflow.deploy.sizes import measure
from tinyflow.errors import TinyflowError

HERE = Path(__file__).resolve().parent
FIRMWARE = HERE.parent / "firmware"
LIBRARY = "libtensorflow-microlite.a"
ARENA = 1 << 20  # what the interpreter gets; it says how much of it it used
STACK = 1 << 15
TIMEOUT = 300.0  # host seconds

# Kernels with a registration of int8 alone, which links less: CMSIS-NN has it, elsewhere it is the general one.
INT8_ALONE = {"ADD", "AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MAX_POOL_2D", "MUL", "SOFTMAX"}
METHODS = {
    "ADD": "Add", "AVERAGE_POOL_2D": "AveragePool2D", "CONCATENATION": "Concatenation", "CONV_2D": "Conv2D",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2D", "DEQUANTIZE": "Dequantize", "EXPAND_DIMS": "ExpandDims", "FULLY_CONNECTED": "FullyConnected",
    "HARD_SWISH": "HardSwish", "LOGISTIC": "Logistic", "MAX_POOL_2D": "MaxPool2D", "MEAN": "Mean", "MUL": "Mul", "PACK": "Pack", "PAD": "Pad",
    "PADV2": "PadV2", "QUANTIZE": "Quantize", "RELU": "Relu", "RELU6": "Relu6", "RESHAPE": "Reshape",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighbor", "SHAPE": "Shape", "SOFTMAX": "Softmax", "SQUEEZE": "Squeeze",
    "STRIDED_SLICE": "StridedSlice", "SUB": "Sub", "TRANSPOSE": "Transpose",
}  # fmt: skip


@dataclass(frozen=True)
class Library:
    path: Path
    kernels: str  # "TFLM reference" or "TFLM + CMSIS-NN"
    includes: tuple[Path, ...]

    @property
    def cmsis_nn(self) -> bool:
        return "CMSIS-NN" in self.kernels


def libraries() -> list[Library]:
    """Those below TFLM_ROOT, reference kernels first; none where it is not set. TinyflowError where it holds none."""
    root = os.environ.get("TFLM_ROOT")
    if not root:
        return []
    paths = sorted(Path(root).glob(f"**/{LIBRARY}"), key=lambda path: ("cmsis_nn" in str(path.relative_to(root)), path))
    if not paths:
        raise TinyflowError(f"TFLM_ROOT is {root}, and no {LIBRARY} lies below it", "benchmarks/tflm_runtime.py says what it is")
    third = Path(root, "tensorflow/lite/micro/tools/make/downloads")
    includes = (Path(root), *(third / name for name in ("flatbuffers/include", "gemmlowp", "ruy")))
    return [Library(path, "TFLM + CMSIS-NN" if "cmsis_nn" in str(path.relative_to(root)) else "TFLM reference", includes) for path in paths]


def count_tflm(library: Library, tflite: Path, board: Board, x: np.ndarray, folder: Path) -> dict[str, Any]:
    """``tflite`` under TFLM on ``board``, fed with int8 ``x``: counts as of our own side, layers, arena, flash, and ``outputs``."""
    folder.mkdir(parents=True)
    ops = operators(tflite)
    (folder / "model_data.h").write_text(_model_data(sorted({op["kind"] for op in ops}), tflite.read_bytes(), x))
    elf = _build(library, board, folder)
    lines = _run(board, elf)
    layers = [round(board.counter.rate * int(words[1])) for words in lines if words[0] == "layer"]
    counts = [board.counter.rate * int(words[1]) for words in lines if words[0] == "ticks"]
    outputs = np.array([np.frombuffer(bytes.fromhex(words[1]), np.int8) for words in lines if words[0] == "output"])
    sizes = measure(elf)
    constants = {symbol.name: symbol.bytes for symbol in sizes.constants}
    return {
        "kernels": library.kernels,
        "label": "counted",
        "instructions_per_inference": round(sum(counts) / len(counts)),
        "layers": [{**op, "instructions": instructions} for op, instructions in zip(ops, layers, strict=True)],
        "arena_bytes": next(int(words[1]) for words in lines if words[0] == "arena"),
        "flash_bytes": sizes.flash_bytes - constants["tflm_rows"],
        "model_bytes": constants["tflm_model"],
        "outputs": outputs,
    }


def operators(tflite: Path) -> list[dict[str, Any]]:
    """Every operator of the file, those that nothing depends on too (the interpreter runs them all): kind, sort, tensor, macs."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(tflite.read_bytes(), 0)
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    graph, found = model.subgraphs[0], []
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        kind = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        if kind not in METHODS:
            raise TinyflowError(f"{tflite.name} has {kind}", "add it to METHODS in benchmarks/tflm_runtime.py")
        shapes = [[int(size) for size in graph.tensors[index].shape] for index in (*op.inputs[:2], op.outputs[0]) if index >= 0]
        output, macs = int(np.prod(shapes[-1])), 0
        if kind in ("CONV_2D", "FULLY_CONNECTED"):
            macs = output * int(np.prod(shapes[1][1:]))
        elif kind == "DEPTHWISE_CONV_2D":
            macs = output * int(np.prod(shapes[1][1:3]))
        found.append({"kind": kind, "sort": sort_of(kind, shapes[0], shapes[-1], macs), "tensor": int(op.outputs[0]), "macs": macs})
    return found


def _model_data(kinds: list[str], model: bytes, x: np.ndarray) -> str:
    def add(kind: str) -> str:
        alone = f"tflite::Register_{kind}_INT8()" if kind in INT8_ALONE else ""
        return f"  resolver.Add{METHODS[kind]}({alone});"

    rows = ",\n".join("{" + ",".join(map(str, row.reshape(-1).tolist())) + "}" for row in x)
    includes = ("add", "conv", "depthwise_conv", "fully_connected", "mul", "pooling", "softmax")
    return "\n".join(
        [
            "// Generated by benchmarks/tflm_runtime.py.",
            *(f'#include "tensorflow/lite/micro/kernels/{name}.h"' for name in includes),
            '#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"',
            f"#define TFLM_ARENA_BYTES {ARENA}\n#define TFLM_OPERATORS {len(kinds)}\n#define TFLM_ROWS {len(x)}",
            f"extern const int8_t tflm_rows[TFLM_ROWS][{x[0].size}];\nconst int8_t tflm_rows[TFLM_ROWS][{x[0].size}] = {{\n{rows}}};",
            f"extern const unsigned char tflm_model[];\nalignas(16) const unsigned char tflm_model[] = {{{','.join(map(str, model))}}};",
            "inline void tflm_register(tflite::MicroMutableOpResolver<TFLM_OPERATORS> &resolver) {",
            *map(add, kinds),
            "}",
            "template <template <int> class Watched>\nvoid tflm_watch(const tflite::MicroOpResolver &resolver) {",
            *(f"  Watched<{index}>::In(resolver, tflite::BuiltinOperator_{kind});" for index, kind in enumerate(kinds)),
            "}\n",
        ]
    )


def _build(library: Library, board: Board, folder: Path) -> Path:
    (folder / "linker.ld").write_text(linker_script(replace(board, stack_bytes=STACK)))
    defines = [f"-D{key}={value}" for key, value in {**board.defines, "CLOCK_HZ": board.clock_hz, "CONSOLE_BAUD": board.console.baud}.items()]
    common = [*board.cpu_flags, "-O2", "-g", "-ffunction-sections", "-fdata-sections", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables"]
    ports = [FIRMWARE / "port", FIRMWARE / "port" / board.port, FIRMWARE / "port" / "cortexm"]
    c = [path for folder_ in ports[1:] for path in sorted(folder_.glob("*.c"))]
    command = ["arm-none-eabi-gcc", *common, "-std=c99", *defines, *(f"-I{port}" for port in ports), "-c", *map(str, c)]
    _call(command, folder)
    cpp = ["-std=c++17", "-fno-rtti", "-fno-exceptions", "-fno-threadsafe-statics", "-DTF_LITE_STATIC_MEMORY", "-DTF_LITE_STRIP_ERROR_STRINGS"]
    cpp += ["-DCMSIS_NN"] if library.cmsis_nn else []
    includes = [f"-I{path}" for path in (folder, ports[0], *library.includes)]
    _call(["arm-none-eabi-g++", *common, *cpp, *includes, "-c", str(HERE / "tflm" / "main.cc")], folder)
    objects = ["main.o", *(f"{path.stem}.o" for path in c)]
    link = ["--specs=nano.specs", "-nostartfiles", "-Wl,--gc-sections", "-Wl,--no-warn-rwx-segments", "-Tlinker.ld"]
    # gcc, not g++: nothing of the C++ library is needed.
    _call(["arm-none-eabi-gcc", *board.cpu_flags, *link, *objects, str(library.path), "-lm", "-o", "firmware.elf"], folder)
    return folder / "firmware.elf"


def _call(command: list[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        raise TinyflowError(f"{command[0]} is not installed", "Debian: apt-get install gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib")
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if result.returncode:
        raise TinyflowError(f"{command[0]} failed:\n{result.stderr[-3000:]}", "is TFLM_ROOT built for cortex-m4+fp by the same compiler?")


def _run(board: Board, elf: Path) -> list[list[str]]:
    command = [
        PROGRAM, "-M", board.qemu.machine, *board.qemu.arguments, "-icount", f"shift={board.qemu.icount_shift},align=off,sleep=off",
        "-nodefaults", "-display", "none", "-monitor", "none", "-no-reboot",
        "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console", "-kernel", str(elf.resolve()),
    ]  # fmt: skip
    text, deadline = "", time.monotonic() + TIMEOUT
    transport = ProcessTransport("QEMU", command)
    try:
        while "\nend\n" not in text:
            text += transport.read(1.0).decode("ascii", "replace")
            said = [line for line in text.splitlines() if line.startswith("fail ") or "fault" in line]
            if said or time.monotonic() > deadline:
                raise TinyflowError(f"TFLM on {board.name}: {said[0] if said else 'no answer in time'}", f"it said: {text[-500:]}")
    finally:
        transport.close()
    return [line.split() for line in text.splitlines() if line]
