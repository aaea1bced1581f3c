"""The JSON Schema of every command's document: ``python -m tinyflow.cli.schemas`` writes docs/json anew."""

import json
from pathlib import Path
from typing import Any

from tinyflow.artefacts import write_text
from tinyflow.cli import results
from tinyflow.compile.artefact import Layer
from tinyflow.demo import Demonstrated
from tinyflow.deploy.answers import Heard, Listened, RowsAnswered, SelfTest, Validation
from tinyflow.deploy.check import Checked
from tinyflow.deploy.counts import SideBySide
from tinyflow.deploy.export import Exported
from tinyflow.deploy.flash.flashing import Flashed
from tinyflow.doctor import Diagnosis
from tinyflow.results import DIALECT, json_schema
from tinyflow.runs import Cleaned, RunsOnDisk
from tinyflow.sweep.sweeping import SweepResult
from tinyflow.train.evaluation import Evaluation

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "json"
RESULTS: dict[str, Any] = {  # of a command's function, as it says itself
    "demo": Demonstrated,
    "init": results.Initialised,
    "doctor": Diagnosis,
    "boards": results.BoardsHere,
    "data": results.Prepared,
    "search": results.Searched | results.Followed,
    "sweep": SweepResult,
    "train": results.Made,
    "evaluate": Evaluation,
    "compile": results.Compiled,
    "build": results.Built,
    "run": SelfTest | RowsAnswered | Heard,
    "validate": Validation,
    "profile": results.Profiled | SideBySide,
    "check": Checked,
    "listen": Listened,
    "flash": results.FlashPlanned | Flashed,
    "export": Exported,
    "runs": RunsOnDisk,
    "clean": Cleaned,
}
ERROR = {
    "$schema": DIALECT,
    "title": "any command that failed",
    "description": "Where a check did not pass, the command's result stands beside the two.",
    "type": "object",
    "properties": {
        "error": {"type": "string", "description": "what is wrong, with file and value"},
        "hint": {"type": "string", "description": "the way out"},
    },
    "required": ["error", "hint"],
}


def schemas() -> dict[str, dict[str, Any]]:
    """File name without suffix -> schema."""
    names = {"Layer": Layer}  # what firmware names without importing it
    found = {command: json_schema(kind, f"tinyflow {command} --json", names) for command, kind in RESULTS.items()}
    return found | {"error": ERROR}


def text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for path in set(FOLDER.glob("*.json")) - {FOLDER / f"{name}.json" for name in schemas()}:
        path.unlink()
    for name, schema in schemas().items():
        write_text(FOLDER / f"{name}.json", text(schema))
