"""Flash and RAM of a firmware image, estimated: the model's constants and the plan, plus what measured images have
besides.
"""

from tinyflow.board import Board
from tinyflow.compile.graph import Graph
from tinyflow.compile.lowering.matmul import padded
from tinyflow.compile.operators import facts, named
from tinyflow.cost import instructions
from tinyflow.cost.work import kind
from tinyflow.frontend.protocol import FrontEnd

CONV_2D, DEPTHWISE_CONV_2D = named("CONV_2D"), named("DEPTHWISE_CONV_2D")
FULLY_CONNECTED = named("FULLY_CONNECTED")
# Bytes: bias and multiplier int32, shift; of a pair two shifts in a word. A kind with weights and no entry is an error.
PER_CHANNEL = {CONV_2D: 10, DEPTHWISE_CONV_2D: 9, FULLY_CONNECTED: 9}
TABLE = 256  # bytes, of a function of one value
TAP = 4  # bytes: where it lies in a plane, for depthwise kernels of any filter


def model_bytes(graph: Graph) -> int:
    """Constants of the generated C: packed weights, and tables, one for all who read a value through it. A RELU on its
    own is taken to need none: the compiler knows only from its scales.
    """
    total = TABLE * len({op.inputs[0] for op in graph.ops if {"table", "rectified"} & set(op.options)})
    for op in graph.ops:
        if facts(op).weights is None:
            continue
        weights, name = graph.tensor(op.inputs[1]).shape, kind(graph, op)
        if op.kind == DEPTHWISE_CONV_2D:
            channels, depth = weights[3], weights[1] * weights[2]
            total += TAP * depth if name == "depthwise" else 0
        else:
            channels = padded(weights[0], 4 if name == "fully_connected" else 2)
            depth = padded(weights[-1]) if len(weights) == 2 else weights[1] * padded(weights[2] * weights[3])
        total += channels * (
            depth + (PER_CHANNEL[FULLY_CONNECTED] if name == "fully_connected" else PER_CHANNEL[op.kind])
        )
    return total


def flash_bytes(graph: Graph, config: FrontEnd) -> int:
    """Of a whole image without self-test clips."""
    return model_bytes(graph) + code_bytes(*layers_and_kernels(graph), config)


def layers_and_kernels(graph: Graph) -> tuple[int, int]:
    """How many operators have code, and how many different kernels they call."""
    kinds = [kind(graph, op).removesuffix("_strided") for op in graph.ops if not facts(op).view and not op.placed]
    return len(kinds), len(set(kinds))


def code_bytes(layers: int, kernels: int, config: FrontEnd | None) -> int:
    """Flash of everything but the model's constants: the application, so many layers and different kernels, the front
    end if there is one.
    """
    code = instructions.table()["image"]
    frontend = code["flash_frontend"] + config.table_bytes() if config else 0
    return round(code["flash_fixed"] + code["flash_per_layer"] * layers + code["flash_per_kernel"] * kernels + frontend)


def frontend_buffers(config: FrontEnd) -> int:
    """Static buffers of firmware/frontend/frontend.c and the window of app/stream.c."""
    return config.buffer_bytes() + config.stream_bytes()


def static_bytes(config: FrontEnd | None) -> int:
    """RAM besides arena and stack; without a front end its buffers are not there."""
    return instructions.table()["image"]["ram_fixed"] + (frontend_buffers(config) if config else 0)


def budgets(board: Board, configs: tuple[FrontEnd, ...]) -> tuple[float, float, float]:
    """What ``board`` leaves to (instructions per second of audio, parameters, activation bytes), whichever front end
    wins; 0: not checked.
    """
    if not board.memory:
        return float(board.instruction_budget), 0.0, 0.0
    code = instructions.table()["image"]
    parameters = (
        board.region("FLASH").length
        - code["flash_fixed"]
        - code["flash_frontend"]
        - max(config.table_bytes() for config in configs)
    ) / code["flash_per_parameter"]
    memory = board.region("RAM").length - board.stack_bytes - max(map(static_bytes, configs))
    return float(board.instruction_budget), max(parameters, 1.0), max(float(memory), 1.0)
