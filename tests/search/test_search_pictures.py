"""Pictures of a search: which are drawn, that no name meets a box or another name, and that files carry no metadata."""

import itertools

import numpy as np
import pytest
from tone_dataset import NORMAL, every_operation

from tinyflow.network.genotype import Edge
from tinyflow.network.operations import OPERATIONS
from tinyflow.search import pictures
from tinyflow.search.pictures import PICTURES, cell_picture, search_pictures

EDGES = [[source, node] for node in range(2, 6) for source in range(node)]
NAMES = ["640/320/40", "640/320/80", "400/200/40"]


def softmax(values: np.ndarray) -> list:
    values = np.exp(values)
    return (values / values.sum(-1, keepdims=True)).tolist()


def history(epochs: int = 5, frontends: int = 3) -> dict:
    rng = np.random.default_rng(0)
    items = []
    for epoch in range(1, epochs + 1):
        item = {f"alpha_{kind}": softmax(rng.normal(size=(14, 8))) for kind in ("normal", "reduction")}
        item |= {f"beta_{kind}": rng.uniform(size=14).tolist() for kind in ("normal", "reduction")}
        item |= {
            "epoch": epoch,
            "gamma": softmax(rng.normal(size=frontends)),
            "loss": 2 / epoch,
            "architecture_loss": 1.0 if epoch > 2 else None,
        }
        item |= {
            "proxy_accuracy": 0.5,
            "entropy_alpha": 0.9,
            "entropy_beta": 0.8,
            "entropy_gamma": 0.7 if frontends > 1 else None,
        }
        items.append(item)
    operations = ["none", *OPERATIONS[:7]]
    return {
        "epochs": items,
        "frontends": NAMES[:frontends],
        "operations": operations,
        "edges": EDGES,
        "warmup_epochs": 2,
        "data_stop": 4,
        "description": "tones",
        "device": "cpu",
    }


@pytest.mark.parametrize(
    "epochs, frontends, absent",
    [(5, 3, set()), (1, 1, {"gamma.png"}), (0, 3, {"gamma.png", "alpha.png", "history.png"})],
)
def test_what_the_history_has_is_drawn(tmp_path, epochs, frontends, absent):
    search_pictures(tmp_path, every_operation(("a", "b")), history(epochs, frontends))
    assert {path.name for path in tmp_path.iterdir()} == set(PICTURES) - absent - {"frontend.png"}
    for path in tmp_path.iterdir():
        data = path.read_bytes()
        assert data[:4] == b"\x89PNG" and len(data) > 5000
        assert not any(chunk in data for chunk in (b"tEXt", b"iTXt", b"tIME"))
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    search_pictures(tmp_path, every_operation(("a", "b")), history(epochs, frontends))
    assert first == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_continuous_front_end_is_drawn(tmp_path):
    went = history(3, 1)
    for item in went["epochs"]:
        item["frontend"] = {"window": 640.0 + item["epoch"], "hop": 320.0, "snapped": "640/320/40"}
    search_pictures(tmp_path, every_operation(("a", "b")), went)
    assert {path.name for path in tmp_path.iterdir()} == set(PICTURES) - {"gamma.png"}


@pytest.mark.parametrize("seed", range(3))
def test_no_name_meets_another_or_a_box(tmp_path, monkeypatch, seed):
    """Over random cells with the longest names: bounding boxes of operations and of the boxes, as drawn, are apart."""
    from matplotlib.patches import FancyBboxPatch

    rng = np.random.default_rng(seed)
    longest = sorted(OPERATIONS, key=len)[-3:]
    cell = tuple(
        tuple(Edge(str(rng.choice(longest)), int(source)) for source in rng.choice(node + 2, 2, replace=False))
        for node in range(4)
    )
    figures = []
    monkeypatch.setattr(pictures, "_save", lambda figure, path: figures.append(figure))
    cell_picture(cell, "normal cell", tmp_path / "normal.png")
    figure = figures[0]
    figure.draw_without_rendering()
    axes = figure.axes[0]
    names = [text.get_window_extent() for text in axes.texts if text.get_text() in OPERATIONS]
    boxes = [patch.get_window_extent() for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    assert len(names) == 8 and len(boxes) == 7
    for one, other in itertools.combinations(names + boxes, 2):
        assert not one.overlaps(other)
    whole = figure.bbox
    assert all(
        whole.x0 <= extent.x0 and extent.x1 <= whole.x1 and whole.y0 <= extent.y0 and extent.y1 <= whole.y1
        for extent in names + boxes
    )


def test_every_edge_is_named(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(pictures, "_save", lambda figure, path: figures.append(figure))
    cell_picture(NORMAL, "normal cell", tmp_path / "normal.png")
    texts = [text.get_text() for text in figures[0].axes[0].texts]
    assert sorted(text for text in texts if text in OPERATIONS) == sorted(
        edge.operation for node in NORMAL for edge in node
    )
    assert {"0", "1", "2", "3", "$c_{k-2}$", "$c_{k-1}$", "$c_k$"} <= set(texts)
