"""A new search operation is its row: registered here, it is searched, priced, derived, read and built as any other."""

import re
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from tinyflow.cost.instructions import frontend_instructions, macs, network_instructions
from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.config import TABLE_1
from tinyflow.network import operations
from tinyflow.network.build import build_network
from tinyflow.network.count import count
from tinyflow.network.genotype import Genotype, genotype_from_dict
from tinyflow.network.operations import Operation, Separable, operations_of
from tinyflow.network.shape_graph import count_parameters, shape_graph
from tinyflow.recipe import Search
from tinyflow.search.cost import Resources
from tinyflow.search.derive import derive, one_hot
from tinyflow.search.supernet import Supernet

pytestmark = pytest.mark.usefixtures("one_torch_thread")
NEW = Operation(
    "wide_conv_5x3",
    ("mcu",),
    "ReLU, depthwise over 5 frames and 3 coefficients, pointwise 1 x 1, batch norm; then 3 frames, dilation 2",
    (Separable(5, 3), Separable(3, 1, dilation=2, pointwise=False)),
)
CHANNELS, CELLS = 8, 3


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(operations, "REGISTRY", dict(operations.REGISTRY))


@pytest.fixture
def added(registry):
    operations.register(NEW)


def test_a_registered_operation_is_searched_priced_derived_read_and_built(added):
    torch.manual_seed(0)
    supernet = Supernet(12, channels=CHANNELS, cells=CELLS, stem_stride=2, operations="mcu", partial=2)
    column = supernet.primitives.index(NEW.name)
    with torch.no_grad():
        for alpha in (supernet.alpha_normal, supernet.alpha_reduction):
            alpha[:, column] = 1.0
    F.cross_entropy(supernet(torch.randn(4, 1, 20, 12)), torch.arange(4)).backward()
    for alpha in (supernet.alpha_normal, supernet.alpha_reduction):
        assert alpha.grad[:, column].abs().sum() > 0

    normal, reduction = derive(supernet.mixing(), "mcu")
    assert {edge.operation for node in (*normal, *reduction) for edge in node} == {NEW.name}
    genotype = Genotype("x", tuple(map(str, range(12))), TABLE_1[4], normal, reduction, CHANNELS, CELLS, stem_stride=2)
    assert genotype_from_dict(genotype.to_dict()) == genotype
    graph = shape_graph(genotype)
    counted = count(build_network(genotype), (1, *genotype.frontend.shape))
    assert counted == (count_parameters(genotype), macs(graph))

    config = Search(operations="mcu", channels=CHANNELS, cells=CELLS, stem_stride=2, keep_alignment=False)
    found = Resources(config, (TABLE_1[4],), 12, None).expected(one_hot(normal, reduction, "mcu"), torch.ones(1))
    assert float(found.parameters) == counted[0]
    exact = network_instructions(graph) + frontend_instructions(genotype.frontend)
    assert float(found.instructions) == pytest.approx(exact, rel=0.06), "as tests/search/test_cost.py has it"


def test_its_name_is_unknown_to_everybody_until_it_is_registered(registry):
    with pytest.raises(TinyflowError, match="unknown operation 'wide_conv_5x3'"):
        operations.facts(NEW.name)
    assert NEW.name not in operations_of("mcu")


def test_a_row_that_leaves_its_arithmetic_out_or_says_it_twice_is_refused(registry):
    for wrong in (
        {},
        {"pool": "max", "skip": True},
        {"separables": (Separable(3, 3),), "residual": True},  # its pointwise would change the source's scale
    ):
        with pytest.raises(TinyflowError, match="'half_said' is not described wholly"):
            Operation("half_said", ("mcu",), "something", **wrong)
    with pytest.raises(TinyflowError, match="'skip_connect' is there twice"):
        operations.register(operations.facts("skip_connect"))


def test_the_document_says_what_each_row_computes():
    document = (Path(__file__).resolve().parents[2] / "docs" / "genotype.md").read_text()
    for operation in operations.REGISTRY.values():
        name = re.sub(r"(conv_)(\d)x\2$", r"\1kxk", operation.name)
        assert f"`{name}`" in document or f"`{operation.name}`" in document
        assert operation.computes in document, operation.name
