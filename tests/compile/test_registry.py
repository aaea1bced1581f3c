"""An operator's facts stand once, all of them, and nobody else keeps a list of kinds."""

import ast
from dataclasses import fields, replace
from unittest.mock import patch

import pytest

from tinyflow.artefacts import FIRMWARE
from tinyflow.compile.graph import Graph, Op, Tensor
from tinyflow.compile.operators import OPERATORS, Channels, Operator, Trait, facts, named, supported
from tinyflow.compile.operators.axes import one_by_one
from tinyflow.compile.operators.registry import Row, register
from tinyflow.cost import footprint, instructions
from tinyflow.errors import TinyflowError

PACKAGE = FIRMWARE.parent / "tinyflow"


def sheet(kind: str) -> dict:
    return {fact.name: getattr(OPERATORS[kind], fact.name) for fact in fields(Operator)}


@pytest.mark.parametrize("fact", [fact.name for fact in fields(Operator)])
def test_a_fact_that_is_left_out_is_an_error(fact):
    with pytest.raises(TypeError, match=fact):
        Operator(**{name: value for name, value in sheet("ADD").items() if name != fact})


@pytest.mark.parametrize(
    "kind,wrong,said",
    [
        ("ADD", {"kind": "add"}, "capitals"),
        ("ADD", {"lower": None}, "lowering"),
        ("RESHAPE", {"lower": OPERATORS["ADD"].lower}, "view"),
        ("ADD", {"required": 0}, "an input"),
        ("CONV_2D", {"required": 1}, "weights"),
        ("CONV_2D", {"weights": None, "channels": Channels.KEPT}, "convolution"),
        ("CONV_2D", {"options": None}, "options"),
        ("MAX_POOL_2D", {"options": None}, "options"),
        ("RELU", {"maps": None}, "one map"),
        ("RELU", {"results": None}, "256"),
        ("ADD", {"channels": Channels.MADE}, "channels"),
        ("ADD", {"row": Row("", "anything")}, "row"),
    ],
)
def test_a_sheet_that_contradicts_itself_is_an_error(kind, wrong, said):
    with pytest.raises(ValueError, match=f"must have .*{said}"):
        replace(OPERATORS[kind], **wrong)


def test_a_kind_is_registered_once():
    with patch.dict(OPERATORS), pytest.raises(ValueError, match="ADD.*twice"):
        register(OPERATORS["ADD"])
    with patch.dict(OPERATORS):
        register(replace(OPERATORS["ADD"], kind="ANOTHER"))
        assert named("ANOTHER") == "ANOTHER"


def test_a_name_that_nobody_registered_is_an_error():
    with pytest.raises(ValueError, match="ADDD"):
        named("ADDD")
    with pytest.raises(TinyflowError, match="GATHER is not supported") as error:
        facts(Op("GATHER", (0,), (1,)))
    assert "CONV_2D" in error.value.hint and "LAYOUT" not in error.value.hint


def test_files_contain_all_but_what_is_ours():
    assert set(OPERATORS) - set(supported()) == {"LAYOUT"}


def literals(tree: ast.AST) -> set[str]:
    """The strings in ``tree`` that no call of ``named`` checks."""
    checked = {
        id(part)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "named"
        for part in call.args
    }
    strings = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return {node.value for node in strings if id(node) not in checked}


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in sorted([*(PACKAGE / "compile").rglob("*.py"), *(PACKAGE / "cost").glob("*.py")])
        if path.parent.name != "operators"
    ],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_nobody_else_keeps_a_list_of_kinds(path):
    """Whoever is about one very kind names it by ``named``, which is checked at import. The fused activations RELU and
    RELU6 of an options table are not operators.
    """
    found = literals(ast.parse(path.read_text())) & set(OPERATORS)
    assert found <= ({"RELU", "RELU6"} if path.name == "step.py" else set())


def test_the_search_for_lists_finds_one():
    assert literals(ast.parse('A = ("ADD", named("SUB"))')) == {"ADD"}


@pytest.mark.parametrize("kind", [kind for kind, operator in OPERATORS.items() if operator.renamed is one_by_one])
def test_no_operator_is_free_of_cost(kind):
    """It has a row in the table of coefficients, or is an error that names it."""
    tensors = (Tensor("x", (1, 4, 4, 8), "int8"), Tensor("y", (1, 4, 4, 8), "int8"))
    graph = Graph("one", tensors, (Op(kind, (0,) * (OPERATORS[kind].maps or 2), (1,)),), (0,), (1,))
    if kind.lower() in instructions.table()["operators"]:
        assert instructions.network_instructions(graph) > 0
    else:
        with pytest.raises(TinyflowError, match=kind.lower()):
            instructions.network_instructions(graph)


def test_views_alone_are_free():
    tensors = (Tensor("x", (1, 4, 4, 8), "int8"), Tensor("y", (1, 128), "int8"))
    for kind in (kind for kind, operator in OPERATORS.items() if operator.has(Trait.VIEW)):
        graph = Graph("one", tensors, (Op(kind, (0,), (1,)),), (0,), (1,))
        assert instructions.network_instructions(graph) == 0


def test_the_flash_of_every_kind_with_weights_is_counted():
    weighted = {kind for kind, operator in OPERATORS.items() if operator.weights is not None}
    assert set(footprint.PER_CHANNEL) == weighted == set(instructions.MACS)
