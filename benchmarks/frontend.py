"""Counted instructions of the front end, step by step, on an emulated Cortex-M4F, beside the recorded figures of
others.

    python benchmarks/frontend.py [640/320/40/mfcc10 ...] [--json]

Each configuration (window/hop/mels, /mfccN for N coefficients, /fftN for a longer FFT) is built for mps2-an386 with a
network of two layers behind it and fed a second of noise under QEMU: from 16-bit samples to int8 features. The others'
figures are those of recorded.json, of front ends of the same window, hop and filters where that exists: CMSIS-DSP in
floats, with torchaudio's definition, up to the coefficients; microfrontend in fixed point, up to the logarithms of its
filters, without a DCT.

These are executed instructions under QEMU, not cycles: no flash wait states, no stalls.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from coefficients import BOARD, count_frontend, small_model

from tinyflow.deploy.places.qemu import qemu_version
from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.config import TABLE_1, MfccConfig
from tinyflow.frontend.registry import front_end_named

RECORDED = Path(__file__).resolve().parent / "recorded.json"
CONFIGURATIONS = (
    "640/320/40/mfcc10",
    "640/320/40/mfcc10/fft1024",
    "400/200/40/fft512",
    "480/320/40",
    *(config.name for config in TABLE_1),
)


def measure(config: MfccConfig, folder: Path) -> dict[str, Any]:
    """Instructions of each step of a frame and of a second of audio; flash and RAM of the front end's constants and the
    image's static data.
    """
    path = folder / "small.tflite"
    path.write_bytes(small_model(config))
    counted = count_frontend(config, path, folder / "compiled")
    steps = counted["steps"]
    return {
        "name": config.name,
        "label": "counted",
        "frames": config.frames(),
        "steps": steps,
        "frame": sum(steps.values()),
        "instructions_per_second": counted["second"],
        "table_bytes": counted["tables"],
    }


def compare(measured: list[dict[str, Any]], recorded: dict[str, Any]) -> list[dict[str, Any]]:
    """Every recorded figure beside the measured front ends it stands for, with the ratio ours / theirs."""
    ours = {entry["name"]: entry["instructions_per_second"] for entry in measured}
    return [
        {
            "ours": name,
            "theirs": other["title"],
            "label": recorded["label"],
            "instructions_per_second": ours[name],
            "recorded_instructions_per_second": other["instructions_per_second"],
            "ratio": ours[name] / other["instructions_per_second"],
        }
        for other in recorded["frontends"]
        for name in other["beside"]
        if name in ours
    ]


def show(measured: list[dict[str, Any]], comparison: list[dict[str, Any]]) -> str:
    names = list(measured[0]["steps"])
    lines = ["instructions of one frame"]
    lines.append(
        f"{'front end':28}"
        + "".join(f"{name:>9}" for name in names)
        + f"{'frame':>9}{'frames':>8}{'a second':>12}{'tables, B':>11}"
    )
    for entry in measured:
        steps = "".join(f"{entry['steps'][name]:9,}" for name in names)
        lines.append(
            f"{entry['name']:28}{steps}{entry['frame']:9,}{entry['frames']:8}{entry['instructions_per_second']:12,.0f}{entry['table_bytes']:11,}"
        )
    if comparison:
        lines += [
            "",
            (
                f"instructions of a second of audio\n{'ours':28}{'counted':>12} "
                f" {'theirs':64}{'recorded':>12}{'ours/theirs':>12}"
            ),
        ]
        for row in comparison:
            lines.append(
                f"{row['ours']:28}{row['instructions_per_second']:12,.0f} "
                f" {row['theirs']:64}{row['recorded_instructions_per_second']:12,}{row['ratio']:12.3f}"
            )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "front_ends",
        nargs="*",
        metavar="window/hop/mels",
        help="default: those of the recorded figures and the eight of Table 1",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(arguments)
    recorded = json.loads(RECORDED.read_text())["frontend"]
    measured = []
    try:
        for config in [front_end_named(name) for name in args.front_ends or CONFIGURATIONS]:
            with tempfile.TemporaryDirectory(prefix="tinyflow-frontend-") as folder:
                measured.append(measure(config, Path(folder)))
    except TinyflowError as error:
        print(f"frontend.py: {error}", file=sys.stderr)
        return 2
    comparison = compare(measured, recorded)
    emulator = f"QEMU {'.'.join(map(str, qemu_version()))}"
    if args.json:
        print(
            json.dumps(
                {
                    "unit": "executed instructions, not cycles",
                    "board": BOARD,
                    "emulator": emulator,
                    "front_ends": measured,
                    "comparison": comparison,
                    "recorded": recorded,
                },
                indent=2,
            )
        )
    else:
        print(f"Executed instructions on {BOARD} under {emulator}, not cycles; recorded: {recorded['what']}\n")
        print(show(measured, comparison))
    return 0


if __name__ == "__main__":
    sys.exit(main())
