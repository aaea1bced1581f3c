"""A check: one thing looked for, and how programs are asked."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

APT = "sudo apt-get install "


@dataclass(frozen=True)
class Check:
    """One thing looked for. ``optional`` things missing are no fault; ``mend`` is the one command (or step) that gets
    it.
    """

    name: str
    ok: bool
    found: str
    needed_for: str
    mend: str
    optional: bool = False


def said(*command: str) -> str:
    """All that ``command`` prints; "" when it cannot run, fails, or takes more than 10 seconds."""
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (result.stdout + result.stderr).strip() if result.returncode == 0 else ""


def first_line(text: str) -> str:
    return text.splitlines()[0].partition("  ")[0].strip() if text else ""  # espeak-ng says more after two spaces


def program(
    name: str, package: str, needed_for: str, optional: bool = False, variable: str = "", mend: str = ""
) -> Check:
    # wheels put programs beside Python
    places = os.pathsep.join((os.environ.get("PATH", ""), str(Path(sys.executable).parent)))
    path = shutil.which(os.environ.get(variable) or name, path=places)
    found = f"{first_line(said(path, '--version')) or 'version unknown'} ({path})" if path else "not found"
    if not path and os.environ.get(variable):
        found = f"{variable}={os.environ[variable]} is not a program"
    return Check(name, bool(path), found, needed_for, mend or APT + package, optional)


def folder(variable: str, needed_for: str, mend: str) -> Check:
    value = os.environ.get(variable, "")
    ok = bool(value) and Path(value).is_dir()
    return Check(
        variable,
        ok,
        value if ok else f"{value} is not a folder" if value else "not set",
        needed_for,
        mend,
        optional=True,
    )
