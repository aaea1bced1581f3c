"""The picture of README: every layer's instructions of one network, counted as `tinyflow profile` counts them.

    python benchmarks/picture.py [docs/pictures/profile.svg]

The network is MLPerf Tiny's DS-CNN with seeded random weights (counts hardly depend on weights): compiled, built for
mps2-an386 and run under QEMU; its answers must equal tflite_micro's. What TensorFlow Lite Micro takes is recorded
(recorded.json): docs/performance.md counts both sides in one run.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mlperf_tiny import MODELS
from network_counts import count

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "pictures" / "profile.svg"
WIDTH, TOP, ROW, NAMES, BARS = 760, 104, 22, 236, 330
OURS, THEIRS = "#00897b", "#90a4ae"  # teal and grey: they differ in brightness too


def counted(folder: Path) -> dict[str, Any]:
    """The network on the emulated board, as network_counts.count has it, and the recorded side of TFLM."""
    path = folder / "ds_cnn.tflite"
    path.write_bytes(MODELS["ds_cnn"][0]())
    recorded = json.loads((ROOT / "benchmarks" / "recorded.json").read_text())["models"]["ds_cnn"]
    return {**count(path, folder / "counted"), "tflm_cmsis_nn": recorded["tflm_cmsis_nn"]}


def draw(facts: dict[str, Any]) -> str:
    """The SVG: a bar a layer, then both runtimes' whole inferences. Fonts are the reader's own."""
    layers, total = facts["layers"], facts["instructions_per_inference"]
    parts: list[str] = []

    def text(x: float, y: float, said: str, style: str = "") -> None:
        parts.append(f'<text x="{x}" y="{y}"{style}>{escape(said)}</text>')

    def bar(y: int, name: str, value: int, most: int, said: str, colour: str = OURS) -> None:
        text(24, y + 15, name)
        parts.append(
            f'<rect x="{NAMES}" y="{y + 3}" width="{max(1, round(BARS * value / most))}" height="15" rx="2"'
            f' fill="{colour}"/>'
        )
        text(NAMES + BARS + 12, y + 15, said)

    text(24, 36, "DS-CNN of MLPerf Tiny on an emulated Cortex-M4F", ' font-size="18" font-weight="600"')
    arena, flash = facts["arena_bytes"], facts["flash_bytes"]
    text(
        24,
        60,
        f"{total:,} instructions an inference, {facts['instructions_per_mac']:.2f} per MAC"
        f" · arena {arena:,} B · flash {flash:,} B",
    )
    text(24, 82, "every answer bit for bit TensorFlow Lite Micro's", ' fill="#546e7a"')
    most = max(layer["instructions"] for layer in layers)
    for index, layer in enumerate(layers):
        shape = "x".join(map(str, layer["output_shape"][1:]))
        value = layer["instructions"]
        bar(TOP + ROW * index, f"{layer['kind'].lower()} {shape}", value, most, f"{value:,}, {value / total:.1%}")
    y = TOP + ROW * len(layers) + 26
    text(24, y, "the whole inference", ' font-weight="600"')
    theirs = facts["tflm_cmsis_nn"]
    bar(y + 10, "tinyflow", total, theirs, f"{total:,}")
    bar(y + 10 + ROW, "TFLM with CMSIS-NN", theirs, theirs, f"{theirs:,}, recorded", THEIRS)
    height = y + 10 + 2 * ROW + 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-size="13" fill="#263238"'
        ' font-family="system-ui, sans-serif" role="img">\n'
        "<title>Instructions of every layer of DS-CNN, and of the whole beside TensorFlow Lite Micro</title>\n"
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#fafafa" stroke="#cfd8dc"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    with tempfile.TemporaryDirectory() as folder:
        drawn = draw(counted(Path(folder)))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(drawn, encoding="utf-8")
    print(f"{out}: {len(drawn):,} B")


if __name__ == "__main__":
    main()
