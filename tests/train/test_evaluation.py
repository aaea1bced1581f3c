"""Evaluation against numbers worked out by hand."""

import numpy as np
import pytest

from tinyflow.errors import TinyflowError
from tinyflow.train import evaluate_predictions

NAMES = ("yes", "no", "_unknown_", "never")


def test_by_hand(tmp_path):
    labels = np.array([0, 0, 0, 0, 1, 1, 2])
    heard = np.array([0, 0, 0, 1, 1, 2, 3])
    result = evaluate_predictions(labels, heard, NAMES, "synthetic")
    assert result.accuracy == pytest.approx(4 / 7)
    assert result.recall == {"yes": 0.75, "no": 0.5, "_unknown_": 0.0, "never": None}
    assert result.balanced_accuracy == pytest.approx((0.75 + 0.5 + 0.0) / 3)
    assert result.confusion == [[3, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert result.clips == 7 and result.description == "synthetic"
    result.picture(tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("labels, heard", [([0, 4], [0, 1]), ([0, 1], [0, -1]), ([], []), ([0, 1], [0])])
def test_nonsense_is_refused(labels, heard):
    with pytest.raises(TinyflowError):
        evaluate_predictions(np.array(labels, int), np.array(heard, int), NAMES)
