"""The reader of FlatBuffers against the schema's own code, and against files that lie about themselves."""

import random
import resource
import struct
import time

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as theirs
from model_zoo import every_operator
from tflite_builder import Builder

from tinyflow.compile.flatbuffer import File
from tinyflow.compile.operators import OPERATORS
from tinyflow.compile.schema import BUILTINS, MOST, read_model
from tinyflow.compile.tflite import MAX_BYTES, parse_tflite, read_tflite
from tinyflow.errors import TinyflowError

SCHEMAS_NAMES = {  # of keys of Op.options, where the schema says it otherwise
    "activation": "fusedActivationFunction",
    "channel_multiplier": "depthMultiplier",
    "dilation_h": "dilationHFactor",
    "dilation_w": "dilationWFactor",
    "filter_h": "filterHeight",
    "filter_w": "filterWidth",
}


def test_builtins_are_the_schemas():
    known = {name: value for name, value in vars(theirs.BuiltinOperator).items() if isinstance(value, int)}
    assert {name: number for number, name in enumerate(BUILTINS)} == known


@pytest.mark.parametrize("kind", [kind for kind, operator in OPERATORS.items() if operator.options])
def test_options_are_the_schemas(kind):
    """Each field by itself away from its default, in a table that the schema's own code wrote."""
    options = OPERATORS[kind].options
    assert options.number == getattr(theirs.BuiltinOptions, options.name)

    def read(**values):
        stored = getattr(theirs, options.name + "T")()
        for name, value in values.items():
            words = name.split("_")
            attribute = SCHEMAS_NAMES.get(name, words[0] + "".join(map(str.capitalize, words[1:])))
            assert hasattr(stored, attribute), attribute
            setattr(stored, attribute, value)
        builder = flatbuffers.Builder()
        builder.Finish(stored.Pack(builder))
        return options.read(File(bytes(builder.Output()), "options").root())

    plain = read()
    for name, field in options.fields.items():
        value = 2 if field.code in "ib" and field.names is None else 1.5 if field.code == "f" else 1
        wanted = field.names[value] if field.names else value
        assert read(**{name: value}) == {**plain, name: wanted} != plain
    assert {plain[name] for name in plain if name.startswith("dilation")} <= {1}


def test_an_enumeration_has_its_values_and_no_other():
    b = Builder()
    x, y = b.tensor((1, 4), 0.1), b.tensor((1, 4), 0.1)
    b.op("ADD", [x, x], [y], "AddOptions", fusedActivationFunction=9)
    with pytest.raises(TinyflowError, match="m is damaged: AddOptions has the activation 9"):
        parse_tflite(b.finish([x], [y]), "m")


def damage(data: bytes) -> str:
    """What is said of it: a TinyflowError's words, "" where it is read."""
    try:
        parse_tflite(data, "m")
    except TinyflowError as error:
        return error.message
    return ""


def test_a_file_that_ends_early_is_damaged():
    good = every_operator()
    assert damage(good) == ""
    for size in range(16, len(good) - 4, 7):
        said = damage(good[:size])
        assert said.startswith("m is damaged: "), (size, said)


def test_any_changed_word_is_read_or_refused():
    """Words of a file, made an offset, a length or a number that is far off."""
    good, said = every_operator(), []
    rng = random.Random(1)
    for at in rng.sample(range(8, len(good) - 4, 4), 700):
        value = rng.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(good) - 2, rng.randrange(1 << 32)))
        said.append(damage(good[:at] + struct.pack("<I", value) + good[at + 4 :]))
    assert len(set(said)) > 50 and "" in said


def bomb(tensors: int, name: int) -> bytes:
    """A model of ``tensors`` tensors that are all one table, whose name has ``name`` bytes."""
    b = Builder()
    x, y = b.tensor((1, 4), 0.1), b.tensor((1, 4), 0.1)
    b.op("RELU", [x], [y])
    model = bytearray(b.finish([x], [y]))
    model += bytes(-len(model) % 4)
    place = File(bytes(model), "m").root().tables(2)[0]._field(0)  # of the way from the subgraph to its tensors
    struct.pack_into("<I", model, place, len(model) - place)
    model += struct.pack("<I", tensors)
    table = len(model) + 4 * tensors
    model += b"".join(struct.pack("<I", table - at) for at in range(len(model), table, 4))
    model += struct.pack("<iI6H", -8, 16, 12, 8, 0, 0, 0, 4)  # its fields are those after it: slot 3 at byte 4
    model += struct.pack("<I", name) + b"n" * name
    return bytes(model)


def test_parts_that_overlap_are_not_read_again_and_again():
    """0.3 MB that would become 5 GB of names."""
    data = bomb(50_000, 100_000)
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    assert damage(data) == "m is damaged: its parts overlap"
    assert time.perf_counter() - begin < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB
    assert [tensor.name for tensor in read_model(bomb(3, 100), "m").tensors] == ["n" * 100] * 3


def test_more_tensors_than_anything_has_are_refused():
    assert f"m has {MOST + 1:,} tensors" in damage(bomb(MOST + 1, 1))


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "huge.tflite"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(TinyflowError, match="huge.tflite has over"):
        read_tflite(path)


def test_constants_are_views_of_the_file():
    b = Builder()
    x = b.tensor((1, 4), 0.1)
    w = b.const(np.arange(64).reshape(16, 4), "int8", np.full(16, 0.1))
    y = b.tensor((1, 16), 0.1)
    b.op("FULLY_CONNECTED", [x, w, -1], [y], "FullyConnectedOptions")
    graph = parse_tflite(b.finish([x], [y]), "m")
    weights = graph.tensor(w).data
    assert weights.base is not None and not weights.flags.writeable and weights.ravel().tolist() == list(range(64))


def test_a_customs_name_is_said():
    b = Builder()
    x, y = b.tensor((1, 4), 0.1), b.tensor((1, 4), 0.1)
    b.op("CUSTOM", [x], [y])
    data = b.finish([x], [y])
    assert read_model(data, "m").operators[0].builtin == "CUSTOM"
    assert "CUSTOM" in damage(data) and "is not supported" in damage(data)
