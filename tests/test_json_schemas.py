"""The JSON schemas in docs/json: current, of every command, and what commands say is as they have it."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from json_documents import FOLDER, as_written, schema
from model_zoo import every_operator

from tinyflow.cli import commands, main
from tinyflow.cli.schemas import RESULTS, schemas, text
from tinyflow.results import HIDDEN, json_property, json_schema, sometimes, to_json


def test_every_command_has_a_schema():
    assert set(RESULTS) == set(commands.commands)


def test_a_command_returns_what_its_schema_is_of():
    for name, kind in RESULTS.items():
        said = commands.commands[name].callback.__wrapped__.__annotations__["return"]
        assert set(said.strip('"').split(" | ")) == {item.__name__ for item in getattr(kind, "__args__", [kind])}, name


def test_docs_json_is_current():
    written = {path.stem: path.read_text() for path in FOLDER.glob("*.json")}
    assert written == {name: text(found) for name, found in schemas().items()}, "python -m tinyflow.cli.schemas"
    for name in written:
        jsonschema.Draft202012Validator.check_schema(schema(name))


def test_the_page_names_every_schema():
    page = (FOLDER.parent / "json.md").read_text()
    assert [name for name in schemas() if f"(json/{name}.json)" not in page] == []


@dataclass(frozen=True)
class Part:
    """A part."""

    used: int  # bytes
    of: int
    place: Path = field(metadata=HIDDEN)
    note: str | None = sometimes()

    @json_property
    def share(self) -> float:
        """Used of all."""
        return self.used / self.of


def test_a_result_becomes_a_document():
    part = Part(np.int64(1), 4, Path("here"))
    assert to_json({"parts": (part,), Path("a"): np.arange(2), "none": None}) == {
        "parts": [{"used": 1, "of": 4, "share": 0.25}],
        "a": [0, 1],
        "none": None,
    }
    assert to_json(Part(1, 2, Path("here"), "so"))["note"] == "so" and part.share == 0.25
    with pytest.raises(TypeError, match="object has no place"):
        to_json({"what": object()})


def test_a_type_becomes_a_schema():
    made = json_schema(Part | None, "parts")
    assert made["anyOf"] == [{"$ref": "#/$defs/Part"}, {"type": "null"}]
    part = made["$defs"]["Part"]
    assert part["description"] == "A part." and part["required"] == ["used", "of", "share"]
    assert part["properties"] == {
        "used": {"description": "bytes", "type": "integer"},
        "of": {"type": "integer"},
        "note": {"type": "string"},
        "share": {"description": "Used of all.", "type": "number"},
    }
    for document in ({"used": 1, "of": 2, "share": 0.5, "more": 1}, {"used": 1, "of": 2}, {"used": "1", "of": 2}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document, made)


def said(capsys, *arguments: str, status: int = 0) -> dict:
    if status:
        with pytest.raises(SystemExit) as stop:
            main([*arguments, "--json"])
        assert stop.value.code == status
    else:
        main([*arguments, "--json"])
    return as_written(arguments[0], json.loads(capsys.readouterr().out))


def test_commands_for_a_first_look(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert {check["name"] for check in said(capsys, "doctor")["checks"]} > {"espeak-ng"}
    assert "host" in [board["name"] for board in said(capsys, "boards")["boards"]]
    assert set(said(capsys, "init", "mine.yaml")) == {"recipe", "genotype"}
    assert set(said(capsys, "init", "mine.yaml", "--ci", "github")) == {"ci"}
    assert said(capsys, "runs") == {"runs": []}
    assert said(capsys, "clean")["folders"] == []
    assert "error" in said(capsys, "clean", "absent", status=1)


@pytest.mark.parametrize("command", ["data", "search", "train", "compile", "build"])
def test_dry_runs(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    recipe = "demo-search" if command == "search" else "demo"
    board = ("--board", "host") if command == "build" else ()
    plan = said(capsys, command, "--recipe", recipe, *board, "--dry-run")
    assert plan["dry_run"] and set(plan) == {"run", "dry_run", "steps"}


@pytest.fixture(scope="module")
def foreign(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("foreign")
    (folder / "model.tflite").write_bytes(every_operator())
    return folder


def test_commands_from_a_foreign_model_on_this_machine(foreign, monkeypatch, capsys):
    monkeypatch.chdir(foreign)
    model = ("--tflite", "model.tflite")
    assert said(capsys, "compile", *model)["compiled"]["by_layer"]
    assert said(capsys, "build", *model, "--board", "host")["firmware"]["board"] == "host"
    assert said(capsys, "export", *model, "--out", "c")["kernels"]
    np.save("x.npy", np.zeros((2, 7, 5, 6), np.int8))
    on_host = (*model, "--board", "host")
    assert said(capsys, "run", *on_host, "--input", "x.npy", "--output", "y.npy")["rows"] == 2
    assert said(capsys, "validate", *on_host, "--rows", "1")["passed"]
    assert said(capsys, "profile", *on_host)["comparison"] is None
    assert set(said(capsys, "profile", *on_host, "--compare", "aot,tflm")["profiles"]) == set()
    assert said(capsys, "check", *on_host, "--write-baseline", "b.json")["written"] == "b.json"
    figures = json.loads(Path("b.json").read_text())
    figures["figures"]["arena_bytes"] -= 1000
    Path("b.json").write_text(json.dumps(figures))
    assert not said(capsys, "check", *on_host, "--baseline", "b.json", status=1)["passed"]
    assert said(capsys, "profile", *on_host, "--baseline", "b.json", status=1)["comparison"]["changes"]
    assert said(capsys, "runs")["runs"][0]["stages"]
    assert said(capsys, "clean", "--stage", "build")["bytes"] > 0
