"""README's picture is what a run draws: made again here, it says the same."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
NUMBER = re.compile(r"\d[\d,.]*")


def said(svg: str) -> list[str]:
    return re.findall(r"<(?:text|title)[^>]*>([^<]*)<", svg)


@pytest.mark.qemu
def test_the_picture_can_be_made_again(tmp_path):
    out = tmp_path / "profile.svg"
    subprocess.run([sys.executable, ROOT / "benchmarks" / "picture.py", out], check=True, cwd=ROOT)
    committed, anew = (said(path.read_text()) for path in (ROOT / "docs" / "pictures" / "profile.svg", out))
    assert [NUMBER.sub("#", line) for line in anew] == [NUMBER.sub("#", line) for line in committed], (
        "draw it anew: python benchmarks/picture.py"
    )
    for line, before in zip(anew, committed):
        for value, was in zip(NUMBER.findall(line), NUMBER.findall(before)):
            value, was = (float(number.replace(",", "").rstrip(".")) for number in (value, was))
            assert value == pytest.approx(was, rel=0.02, abs=60), (  # another compiler of the same age may differ
                f"{line!r}, was {before!r}: python benchmarks/picture.py"
            )
