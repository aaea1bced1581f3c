"""Flash and RAM of a firmware image, estimated: the model's constants and the plan, plus what measured images have besides."""

from tinyflow.board import Board
from tinyflow.compile.frontend import buffer_bytes, table_bytes
from tinyflow.compile.graph import VIEWS, Graph
from tinyflow.features.config import MfccConfig
from tinyflow.search import instructions

BIASED = ("CONV_2D", "DEPTHWISE_CONV_2D")
PER_CHANNEL = 4 + 4 + 1  # bias int32, multiplier int32, shift int8
LOOKUP = 256  # bytes of a RELU's table


def model_bytes(graph: Graph) -> int:
    """Constants of the generated C, equal ones not shared yet: an estimate from above."""
    total = 0
    for op in graph.ops:
        if op.kind in BIASED:
            total += graph.tensor(op.inputs[1]).elements + PER_CHANNEL * graph.tensor(op.outputs[0]).shape[3]
        elif op.kind == "FULLY_CONNECTED":
            total += graph.tensor(op.inputs[1]).elements + 4 * graph.tensor(op.outputs[0]).shape[1] + 5  # one multiplier and shift
        elif op.kind == "RELU":
            total += LOOKUP
    return total


def flash_bytes(graph: Graph, config: MfccConfig) -> int:
    """Of a whole image without self-test clips."""
    layers = sum(op.kind not in VIEWS and not op.placed for op in graph.ops)
    return model_bytes(graph) + code_bytes(layers, config)


def code_bytes(layers: int, config: MfccConfig | None) -> int:
    """Flash of everything but the model's constants: the application, so many layers and their kernels, the front end if there is one."""
    code = instructions.table()["image"]
    frontend = code["flash_frontend"] + table_bytes(config) if config else 0
    return round(code["flash_fixed"] + code["flash_per_layer"] * layers + frontend)


def frontend_buffers(config: MfccConfig) -> int:
    """Static buffers of firmware/frontend/frontend.c and the window of app/stream.c."""
    return buffer_bytes(config) + 2 * config.window


def static_bytes(config: MfccConfig | None) -> int:
    """RAM besides arena and stack; without a front end its buffers are not there."""
    return instructions.table()["image"]["ram_fixed"] + (frontend_buffers(config) if config else 0)


def budgets(board: Board, configs: tuple[MfccConfig, ...]) -> tuple[float, float, float]:
    """What ``board`` leaves to (instructions per second of audio, parameters, activation bytes), whichever front end wins; 0: not checked."""
    if not board.memory:
        return float(board.instruction_budget), 0.0, 0.0
    code = instructions.table()["image"]
    parameters = (board.region("FLASH").length - code["flash_fixed"] - code["flash_frontend"] - max(map(table_bytes, configs))) / code["flash_per_parameter"]
    memory = board.region("RAM").length - board.stack_bytes - max(map(static_bytes, configs))
    return float(board.instruction_budget), max(parameters, 1.0), max(float(memory), 1.0)
