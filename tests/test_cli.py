"""The command line as a script meets it: --json, exit codes, errors with hints, quick help."""

import json
import subprocess
import sys

import pytest
from json_documents import as_written

from tinyflow.artefacts import alone_in
from tinyflow.cli import commands, main


def tinyflow(*arguments, cwd=None):
    return subprocess.run([sys.executable, "-m", "tinyflow.cli", *arguments], capture_output=True, text=True, cwd=cwd)


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from tinyflow.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\nprint([m for m in"
        " ('torch', 'tensorflow', 'pydantic', 'numpy', 'matplotlib', 'rich') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip().endswith("[]")


def test_commands_stand_in_the_order_of_the_pipeline():
    pipeline = [
        "data",
        "search",
        "sweep",
        "train",
        "evaluate",
        "compile",
        "build",
        "run",
        "validate",
        "profile",
        "flash",
        "export",
    ]
    assert [name for name in commands.commands if name in pipeline] == pipeline
    said = tinyflow("--help").stdout
    places = [said.index(f"\n  {name} ") for name in commands.commands]
    assert places == sorted(places)


def test_search_and_train_need_no_compiler_package():
    code = (
        "import sys\nfor name in ('tensorflow', 'onnx', 'onnx2tf', 'pydantic', 'yaml', 'tflite_micro', 'ray'):"
        " sys.modules[name] = None\nimport tinyflow.network.build, tinyflow.train.training\n"
        "import tinyflow.frontend.mel.module, tinyflow.frontend.registry,"
        " tinyflow.recipe, tinyflow.data.dataset\nimport tinyflow.search.searching, tinyflow.search.random_search,"
        " tinyflow.search.perturbation, tinyflow.search.cost, tinyflow.cost.genotype_fit, tinyflow.search.learnt"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_json_is_one_document(tmp_path):
    for arguments in (["boards"], ["runs"], ["data", "--dry-run"], ["build", "--board", "host", "--dry-run"]):
        done = tinyflow(*arguments, "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert isinstance(json.loads(done.stdout), dict)


def test_dry_run_writes_nothing(tmp_path):
    assert tinyflow("build", "--board", "host", "--dry-run", cwd=tmp_path).returncode == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments, error, hint, status",
    [
        (["bild"], "no command 'bild'", "tinyflow build", 1),
        (["build"], "--board", "--help", 2),
        (["build", "--board", "nucleo"], "no board 'nucleo'", "nucleo-l4r5zi", 1),
        (["train", "--recipe", "dmeo"], "no recipe 'dmeo'", "'demo'", 1),
        (["train", "--set", "train.epoch=3"], "unknown key 'train.epoch'", "'epochs'", 1),
        (["compile", "--tflite", "absent.tflite"], "absent.tflite does not exist", ".tflite", 1),
        (["train", "--set", "data.keywords=[yes"], "not valid YAML", "--set", 1),
        (
            ["build", "--board", "host", "--set", "network.genotype=absent.json"],
            "no genotype at",
            "network.genotype",
            1,
        ),
        (["train", "--data", ""], "--data is empty", "leave the option out", 1),
        (["train", "--recipe", ""], "--recipe is empty", "leave the option out", 1),
        (["init", "/proc/mine.yaml"], "No such file or directory", "permissions", 1),
        (["search", "--recipe", "demo"], "has no search section", "demo-search", 1),
        (["search", "--recipe", "demo-search", "--processes", "0"], "--processes 0", "1 or more", 1),
        (
            ["search", "--recipe", "demo-search", "--set", "search.frontends=[640/320]"],
            "front end '640/320'",
            "640/320/40",
            1,
        ),
        (
            ["search", "--recipe", "demo-search", "--set", "search.warmup_epochs=12"],
            "search.warmup_epochs is 12",
            "11",
            1,
        ),
        (["search", "--recipe", "demo-search", "--board", "nucleo"], "no board 'nucleo'", "nucleo-l4r5zi", 1),
        (["sweep", "--recipe", "demo-search"], "no --axis", "search.seed=0,1", 1),
        (["sweep", "--recipe", "demo-search", "--axis", "search.seed"], "no KEY=V1,V2", "search.seed=0,1", 1),
        (["sweep", "--recipe", "demo", "--axis", "search.seed=0"], "has no search section", "demo-search", 1),
        (["check", "--baseline", "absent.json"], "there is no baseline absent.json", "--write-baseline absent.json", 1),
        (
            ["run", "--emulator", "renode"],
            "board mps2-an386 does not run on renode",
            "it runs on: qemu",
            1,
        ),  # before any stage
        (["profile", "--tolerance", "2"], "--tolerance 2 is no percentage", "--tolerance 2%", 1),
        (["profile", "--estimate", "nucleo"], "no board 'nucleo'", "nucleo-l4r5zi", 1),
        (["init", "absent.tflite", "--ci", "github"], "absent.tflite does not exist", ".tflite", 1),
        (["clean", "absent"], "no run 'absent'", "", 1),
        (["run", "--tflite", "x.tflite", "--input", "absent.npy"], "absent.npy", "", 1),
        (["run", "--tflite", "x.tflite", "--output", "y.npy"], "without --input", "--input X.npy", 1),
        (["run", "--tflite", "x.tflite", "--input", "absent.npy", "--output", "."], "is a folder", ".npy file", 1),
    ],
)
def test_errors_name_the_value_and_the_way_out(arguments, error, hint, status, tmp_path):
    done = tinyflow(*arguments, "--json", cwd=tmp_path)
    answer = json.loads(done.stdout)
    assert done.returncode == status
    assert error in answer["error"] and hint in answer["hint"]
    plain = tinyflow(*arguments, cwd=tmp_path)
    assert plain.returncode == status and plain.stdout == "" and error in plain.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_command_has_json_and_help():
    for name, command in commands.commands.items():
        assert any("--json" in option.opts for option in command.params), name
        assert command.help, name


def test_init_then_clean(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["init", "mine.yaml", "--json"])
    assert json.loads(capsys.readouterr().out)["recipe"] == "mine.yaml"
    (tmp_path / "runs" / "mine" / "train").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "train" / "x").write_text("123")
    main(["clean", "mine", "--stage", "train", "--json"])
    assert json.loads(capsys.readouterr().out) == {"deleted": False, "folders": ["runs/mine/train"], "bytes": 3}
    main(["clean", "mine", "--stage", "train", "--yes", "--quiet"])
    assert not (tmp_path / "runs" / "mine" / "train").exists()


def test_a_failed_check_is_one_document_with_its_result(tmp_path, monkeypatch, capsys):
    from tinyflow import demo

    monkeypatch.chdir(tmp_path)
    found = demo.Demonstrated(
        passed=False,
        run=tmp_path,
        recordings="",
        clips=1,
        accuracy={"float": 0.0, "int8": 0.0},
        checks={},
        macs=0,
        frontend=None,
        boards={},
        seconds={},
    )
    monkeypatch.setattr(demo, "run_demo", lambda run: found)
    monkeypatch.setattr("tinyflow.show.Reporter.demo", lambda self, result: None)
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--json"])
    answer = as_written("demo", json.loads(capsys.readouterr().out))
    assert stop.value.code == 1 and answer["passed"] is False and "did not all pass" in answer["error"]


def test_no_command_is_help_not_an_error(tmp_path):
    done = tinyflow(cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.startswith("Usage: tinyflow") and done.stderr == ""


def test_clean_deletes_runs_and_nothing_else(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("mine/train", "my_words/hello", "empty", "package/train", "package/other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "mine" / "train" / "manifest.json").write_text("{half")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    main(["clean", "--runs", ".", "--yes", "--json"])
    assert json.loads(capsys.readouterr().out)["folders"] == ["mine"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["empty", "my_words", "package"]


def test_clean_leaves_a_run_that_is_being_made(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine" / "data").mkdir(parents=True)
    with alone_in(tmp_path / "runs" / "mine"):
        for arguments in (["--yes"], ["--yes", "--stage", "data"]):
            with pytest.raises(SystemExit):
                main(["clean", *arguments])
            assert "another tinyflow is at work" in capsys.readouterr().err
    assert (tmp_path / "runs" / "mine" / "data").is_dir()


def test_a_bug_is_json_too(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tinyflow.runs.list_runs", lambda runs: 1 / 0)
    with pytest.raises(SystemExit):
        main(["runs", "--json"])
    said = capsys.readouterr()
    assert json.loads(said.out)["error"].startswith("ZeroDivisionError") and "Traceback" in said.err
    with pytest.raises(ZeroDivisionError):
        main(["runs"])


def test_a_long_title_is_not_folded_to_a_narrow_table(capsys):
    from tinyflow.show import Reporter

    title = "a title that is far longer than the narrow table that stands under it"
    Reporter().table(title, ["a"], [["b"]])
    assert title in capsys.readouterr().out


def test_evaluate_uses_the_device_it_is_given(tmp_path, monkeypatch):
    from tinyflow import train
    from tinyflow.pipeline import RecipeRun

    asked = []

    def evaluate(trained, dataset, split, device):
        asked.append(device)
        raise SystemExit

    monkeypatch.setattr(RecipeRun, "make", lambda self, target, image=None: [])
    monkeypatch.setattr(RecipeRun, "dataset", lambda self: None)
    monkeypatch.setattr(train, "evaluate", evaluate, raising=False)
    monkeypatch.setattr(train, "load_trained", lambda folder: None, raising=False)
    with pytest.raises(SystemExit):
        main(["evaluate", "--runs", str(tmp_path), "--device", "cpu", "--quiet"])
    assert asked == ["cpu"]
