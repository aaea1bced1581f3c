"""CompiledModel: what compile hands to deploy. ``compiled.json`` beside the files it names.

model.onnx, model_float.tflite, model_int8.tflite    (a foreign model: model_int8.tflite only)
c/model.c, c/model_config.h                           the network; implements firmware/model/model.h
c/frontend_config.h, c/frontend_tables.c              the front end, when the model has one
c/fixed/                                              its tables for boards without FPU
selftest.npz                                          clips int16 (K, samples), words (K,), features int8
                                                      (K, frames, features) by the host's C, answers int8 (K, classes);
                                                      fixed_features, fixed_answers: by the fixed-point C
arena.png                                             the plan over time, where matplotlib is installed
"""

import builtins
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinyflow.artefacts import read_json, write_json
from tinyflow.errors import TinyflowError

COMPILED = "compiled.json"


@dataclass(frozen=True)
class Port:
    """The model's input or output: shape with its batch of 1; real = scale * (q - zero_point)."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int

    @property
    def elements(self) -> int:
        count = 1
        for size in self.shape:
            count *= size
        return count


@dataclass(frozen=True)
class Layer:
    """One step of model_invoke, after the passes; its C function is ``model_layer_<index>``."""

    index: int
    kind: str  # the TFLite builtin's name
    name: str  # of its output tensor
    tensor: int  # the output's index in model_int8.tflite, for comparison with tflite_micro
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    macs: int
    offset: int  # of the output in the arena, bytes
    bytes: int
    model_bytes: int = 0  # its constants in flash; those that it shares with an earlier layer are that one's
    planar: bool = False  # the output's bytes lie channel after channel
    kernels: tuple[str, ...] = ()  # C functions it calls
    in_place: bool = False  # the output begins where an input did
    scratch: int = 0  # bytes of the arena that it has for itself

    def value(self, data: builtins.bytes | NDArray[Any]) -> NDArray[Any]:
        """The output's bytes in the arena as an array of ``output_shape``, NHWC."""
        elements = int(np.prod(self.output_shape))
        flat = np.frombuffer(data, np.int8 if self.bytes == elements else np.float32)
        if not self.planar:
            return flat.reshape(self.output_shape)
        batch, height, width, channels = self.output_shape
        return flat.reshape(batch, channels, height, width).transpose(0, 2, 3, 1)


@dataclass(frozen=True)
class Placed:
    """A tensor in the arena, or what a kernel has for itself: its bytes, and while which layers run."""

    name: str  # of the tensor; "scratch" where it is none
    offset: int
    bytes: int
    first: int  # layer; the input is there from layer 0 on
    last: int  # layer that still needs it; the number of layers where the caller reads it
    scratch: bool = False


@dataclass(frozen=True)
class ArenaPlan:
    """Where everything lies in the arena, and when.

    Two that overlap in bytes and in layers share them: a view and what it views, an output over its input.
    """

    arena_bytes: int
    bound_bytes: int  # what no plan of this order, with these kernels, can go below
    placed: tuple[Placed, ...]


@dataclass(frozen=True)
class FrontEndPart:
    """The front end of a compiled model, as those need to know it who build it in and talk to it. Sizes in samples."""

    kind: str  # a folder of tinyflow/frontend/ and of firmware/frontend/
    name: str  # as recipes write it
    says: str  # for people
    sample_rate: int  # Hz
    window: int
    hop: int
    features: int  # of a frame
    steps: tuple[str, ...]  # of a frame, as profiles name them
    config: dict[str, Any]  # what tinyflow.frontend.registry.front_end_of takes


@dataclass(frozen=True)
class CompiledModel:
    """A network as C, with its plan and figures; its files are in ``folder``, as this module says."""

    folder: Path
    name: str
    input: Port
    output: Port
    layers: tuple[Layer, ...]
    arena_bytes: int  # planned
    arena_bound_bytes: int  # the plan's lower bound
    model_bytes: int  # packed weights, biases, multipliers (flash)
    macs: int
    labels: tuple[str, ...] = ()
    frontend: FrontEndPart | None = None  # None for a foreign model
    multiplier: tuple[float, ...] = ()  # per feature of a frame: q = round_half_even(feature * multiplier + offset)
    offset: tuple[float, ...] = ()
    placed: tuple[Placed, ...] = ()  # in the arena, by their first layer
    memory: dict[str, Any] = field(default_factory=dict)  # where most is alive, the largest savings (memory_report)
    accuracy: dict[str, Any] = field(default_factory=dict)  # float and int8, on which recordings
    checks: dict[str, Any] = field(default_factory=dict)  # largest difference torch-ONNX, torch-TFLite, ...

    def rows(self, x: ArrayLike) -> NDArray[np.int8]:
        """``x`` as inputs, int8 (N, *input shape without batch). TinyflowError: another type or shape, both named."""
        rows, shape = np.asarray(x), self.input.shape[1:]
        if rows.dtype == np.int8 and rows.shape[1:] == shape and rows.ndim == len(shape) + 1 and rows.size:
            return rows
        dtype, scale, zero_point = rows.dtype, self.input.scale, self.input.zero_point
        wanted = f"int8 [N{''.join(f', {size}' for size in shape)}] with N at least 1"
        quantise = f"quantise: clip(round(x / {scale:g}) + {zero_point}, -128, 127).astype(numpy.int8)"
        shaped = "one input alone is a row: x[None]" if rows.shape == shape else "give it that shape"
        raise TinyflowError(
            f"the rows are {dtype} {list(rows.shape)}; {self.name} takes {wanted}",
            shaped if dtype == np.int8 else quantise,
        )

    @property
    def plan(self) -> ArenaPlan:
        return ArenaPlan(self.arena_bytes, self.arena_bound_bytes, self.placed)

    @property
    def tflite(self) -> Path:
        return self.folder / "model_int8.tflite"

    @property
    def c(self) -> Path:
        return self.folder / "c"

    @property
    def selftest(self) -> Path:
        return self.folder / "selftest.npz"

    def write(self) -> None:
        value = asdict(self)
        del value["folder"]
        write_json(self.folder / COMPILED, value)


def load_compiled(folder: Path | str) -> CompiledModel:
    """The model that was compiled into ``folder``. TinyflowError: none is there, or of another version of tinyflow."""
    folder = Path(folder)
    value = read_json(folder / COMPILED)
    try:
        value["input"], value["output"] = (_port(value[key]) for key in ("input", "output"))
        value["layers"] = read_layers(value["layers"])
        if value["frontend"] is not None:
            value["frontend"] = FrontEndPart(**value["frontend"] | {"steps": tuple(value["frontend"]["steps"])})
        value["placed"] = tuple(Placed(**item) for item in value["placed"])
        for key in ("labels", "multiplier", "offset"):
            value[key] = tuple(value[key])
        return CompiledModel(folder=folder, **value)
    except (KeyError, TypeError) as error:
        raise TinyflowError(
            f"{folder / COMPILED} was written by another version of tinyflow: {error}", "run `tinyflow compile` again"
        ) from None


def read_layers(values: list[dict[str, Any]]) -> tuple[Layer, ...]:
    """Layers as JSON has them."""
    return tuple(
        Layer(**value | {key: tuple(value[key]) for key in ("input_shape", "output_shape", "kernels")})
        for value in values
    )


def _port(value: dict[str, Any]) -> Port:
    return Port(**{**value, "shape": tuple(value["shape"])})
