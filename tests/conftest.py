"""What every test may ask for, and the last line of a run: how many were skipped, and why."""

import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]  # builders that several test folders share

NEEDS = {
    "qemu": (
        lambda: shutil.which("qemu-system-arm") and shutil.which("arm-none-eabi-gcc"),
        "qemu-system-arm and arm-none-eabi-gcc: make setup",
    ),
    "renode": (
        lambda: shutil.which(os.environ.get("RENODE") or "renode") and shutil.which("arm-none-eabi-gcc"),
        "Renode (on PATH, or RENODE) and arm-none-eabi-gcc: docs/renode.md",
    ),
    "tflm": (lambda: os.environ.get("TFLM_ROOT"), "a built TensorFlow Lite Micro: set TFLM_ROOT (docs/tflm.md)"),
    "shared_data": (lambda: shared_data(), "the real recordings: set TINYFLOW_DATA to a Speech Commands folder"),
}


def shared_data() -> Path | None:
    """The folder of real recordings, or None."""
    for candidate in (os.environ.get("TINYFLOW_DATA"), ROOT.parent / "shared" / "data" / "speech_commands"):
        if candidate and Path(candidate).is_dir():
            return Path(candidate)
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What has a make target of its own runs where it is asked for: `make test-wheel`, `make nightly`."""
    unasked = [name for name in ("wheel", "nightly") if name not in config.option.markexpr]
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in unasked)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, (there, needed) in NEEDS.items():
        if item.get_closest_marker(marker) and not there():
            pytest.skip(f"needs {needed}")


@pytest.fixture(scope="module")
def one_torch_thread():
    """For tests of many tiny operations: two threads would mostly wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The real recordings; use with @pytest.mark.shared_data."""
    folder = shared_data()
    if folder is None:
        pytest.skip(f"needs {NEEDS['shared_data'][1]}")
    return folder


def pytest_unconfigure(config: pytest.Config) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not hasattr(reporter, "stats"):
        return
    reasons = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in reporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    )
    why = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common())
    reporter.write_line(f"skipped: {sum(reasons.values())}" + (f" ({why})" if why else ""))
