"""The schema of .tflite files, as far as it is read: a model with its tensors and operators, and tables of options.

Fields are named by their slots, which the schema (TFLite's, version 3) counts from 0 in the order of their declaration.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyflow.compile.flatbuffer import File, Table
from tinyflow.errors import TinyflowError

MOST = 1 << 16  # tensors, or operators: a few bytes of a file can name one again

# BuiltinOperator, from 0 on
BUILTINS = """
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR
FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM
MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS
SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND
TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT
LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL
LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW
ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV
REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS
SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG
ROUND HARD_SWISH IF WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM
BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG REAL COMPLEX_ABS
HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE
ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE
RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST
BITWISE_XOR RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD STABLEHLO_DIVIDE STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM
STABLEHLO_RESHAPE STABLEHLO_CLAMP STABLEHLO_CONCATENATE STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE
STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL
STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_MINIMUM STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER
STABLEHLO_RSQRT STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER STABLEHLO_COMPARE STABLEHLO_CONVERT
STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD STABLEHLO_IOTA STABLEHLO_DOT_GENERAL
STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE STABLEHLO_GATHER STABLEHLO_TRANSPOSE DILATE
STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT STABLEHLO_CASE
""".split()


@dataclass(frozen=True)
class Field:
    """A scalar of a table of options."""

    slot: int
    code: str = "i"  # its type, of the module struct: int32
    default: int = 0
    names: Mapping[int, str] | None = None  # of an enumeration's values, which no other number may be

    def read(self, table: Table) -> int | float | bool:
        kind = {"f": float, "?": bool}.get(self.code, int)
        return kind(table.number(self.slot, self.code, self.default))


@dataclass(frozen=True)
class Options:
    """A table of options: its name in the schema, its number in the union BuiltinOptions, what is read of it."""

    name: str
    number: int
    fields: Mapping[str, Field]  # by its key in Op.options

    def read(self, table: Table) -> dict[str, Any]:
        found: dict[str, Any] = {name: field.read(table) for name, field in self.fields.items()}
        for name, field in self.fields.items():
            if field.names is not None:
                if found[name] not in field.names:
                    raise table.file.damaged(f"{self.name} has the {name} {found[name]}")
                found[name] = field.names[found[name]]
        return found


@dataclass(frozen=True)
class StoredTensor:
    name: str  # may be empty
    shape: tuple[int, ...]
    signature: tuple[int, ...]  # the shape with -1 where it is dynamic; empty where it is not stored
    type: int  # the schema's TensorType
    buffer: int
    variable: bool
    sparse: bool
    quantization: Table | None  # QuantizationParameters

    def affine(self) -> tuple[NDArray[np.float32], NDArray[np.int64], int] | None:
        """Scales, zero points (none stored: empty) and their axis; None where there are none."""
        scales = None if self.quantization is None else self.quantization.numbers(2, "f4")
        if self.quantization is None or scales is None or not len(scales):
            return None
        zeros = self.quantization.numbers(3, "i8")
        return scales, np.zeros(0, np.int64) if zeros is None else zeros, self.quantization.number(6, "i")


@dataclass(frozen=True)
class StoredOperator:
    builtin: str  # its name; "operator 300" where the schema had none
    custom: str  # the name of a CUSTOM
    inputs: tuple[int, ...]  # tensors; -1: absent
    outputs: tuple[int, ...]
    kind_of_options: int  # in the union BuiltinOptions
    options: Table | None

    @property
    def kind(self) -> str:
        return f"{self.builtin} {self.custom}" if self.builtin == "CUSTOM" else self.builtin


@dataclass(frozen=True)
class Model:
    """A model of one subgraph, every index of a tensor checked."""

    file: File
    table: Table
    tensors: tuple[StoredTensor, ...]
    operators: tuple[StoredOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def data(self, tensor: StoredTensor) -> tuple[NDArray[np.uint8] | None, bool]:
        """The bytes that the file stores for it, and whether they lie behind the FlatBuffer, where nobody looks."""
        buffers = self.table.tables(4)
        if tensor.buffer >= len(buffers):
            if tensor.buffer:
                raise self.file.damaged(f"tensor {tensor.name!r} is in buffer {tensor.buffer} of {len(buffers)}")
            return None, False
        buffer = buffers[tensor.buffer]
        data = buffer.bytes(0) if tensor.buffer else None  # 0 is nobody's
        if data is None or not len(data):
            return None, buffer.number(1, "Q") > 1
        return data, False


def read_model(data: bytes, name: str) -> Model:
    """The model in ``data``; ``name`` is how errors call it.

    Errors: not a TFLite file, several subgraphs, damage.
    """
    if len(data) < 16 or data[4:8] != b"TFL3":
        raise TinyflowError(
            f"{name} is not a TFLite flatbuffer (no TFL3 identifier)", "convert the model to .tflite first"
        )
    file = File(data, name)
    table = file.root()
    subgraphs = table.tables(2)
    if len(subgraphs) != 1:
        raise TinyflowError(
            f"{name} has {len(subgraphs)} subgraphs; one is supported", "export it without control flow"
        )
    subgraph = subgraphs[0]
    kinds, stored, listed = table.tables(1), subgraph.tables(0), subgraph.tables(3)
    for what, items in (("kinds of operators", kinds), ("tensors", stored), ("operators", listed)):
        if len(items) > MOST:
            raise TinyflowError(f"{name} has {len(items):,} {what}", f"at most {MOST:,} are supported")
    codes, tensors = [_code(kind) for kind in kinds], tuple(map(_tensor, stored))
    operators = tuple(_operator(operator, number, codes, len(tensors)) for number, operator in enumerate(listed))
    sides = {"input": subgraph.integers(1), "output": subgraph.integers(2)}
    for side, indices in sides.items():
        for index in indices:
            if not 0 <= index < len(tensors):
                raise file.damaged(f"its {side} is tensor {index} of {len(tensors)}")
    return Model(file, table, tensors, operators, *sides.values())


def _tensor(table: Table) -> StoredTensor:
    return StoredTensor(
        name=table.text(3),
        shape=table.integers(0),
        signature=table.integers(7),
        type=table.number(1, "b"),
        buffer=table.number(2, "I"),
        variable=table.number(5, "?", False),
        sparse=table.table(6) is not None,
        quantization=table.table(4),
    )


def _code(table: Table) -> tuple[str, str]:
    """Names of the builtin and the custom operator."""
    number = max(table.number(3, "i"), table.number(0, "b"))  # older files know the second alone
    builtin = BUILTINS[number] if 0 <= number < len(BUILTINS) else f"operator {number}"
    return builtin, table.text(1)


def _operator(table: Table, number: int, codes: list[tuple[str, str]], tensors: int) -> StoredOperator:
    code = table.number(0, "I")
    if code >= len(codes):
        raise table.file.damaged(f"operator {number} has the code {code} of {len(codes)}")
    builtin, custom = codes[code]
    found = StoredOperator(
        builtin=builtin,
        custom=custom,
        inputs=table.integers(1),
        outputs=table.integers(2),
        kind_of_options=table.number(3, "B"),
        options=table.table(4),
    )
    for index in (*found.inputs, *found.outputs):
        if not -1 <= index < tensors:
            raise table.file.damaged(f"operator {number} ({found.kind}) uses tensor {index}")
    return found
