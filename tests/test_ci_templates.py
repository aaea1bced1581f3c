"""The workflows of `tinyflow init --ci`: their steps are taken out of the YAML and run here, as a runner would."""

import json
import re
import shutil
import subprocess
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest
from ci_workflow import Workflow, program
from keyword_model import keyword_tflite

from tinyflow.board import board_names, load_board
from tinyflow.ci import PLACES, write_ci
from tinyflow.errors import TinyflowError
from tinyflow.frontend.mfcc.config import MfccConfig

SERVICES = sorted(PLACES)


def written(service: str, project: Path) -> Workflow:
    return Workflow(write_ci(service, project / "model.tflite", project=project))


@pytest.mark.parametrize("service", SERVICES)
def test_the_workflow_is_whole(service, tmp_path):
    workflow = written(service, tmp_path)
    assert workflow.image == "debian:12" and workflow.variables["MODEL"] == "--tflite model.tflite"
    assert {row["board"] for row in workflow.matrix} == {"mps2-an386", "b-l475e-iot01a", "nucleo-l4r5zi"}
    for row in workflow.matrix:
        assert row["board"] in board_names(), row
        assert getattr(load_board(row["board"]), row["emulator"]) is not None, row
    for step in workflow.steps:
        subprocess.run(["bash", "-n", "-c", step], check=True)
    # it names no host: whose repository, is the user's to say
    assert "://" not in (tmp_path / PLACES[service]).read_text()


@pytest.mark.parametrize("service", SERVICES)
def test_without_its_wheel_the_workflow_says_so(service, tmp_path):
    workflow = written(service, tmp_path)
    done = workflow.run(workflow.step("pip install"), tmp_path, workflow.matrix[0])
    assert done.returncode == 1 and "set TINYFLOW_WHEEL in" in done.stdout and not (tmp_path / ".tinyflow").exists()


@pytest.mark.parametrize("service", SERVICES)
def test_the_wheel_of_the_project_is_installed_in_the_size_that_the_model_wants(service, tmp_path):
    """pip's part is a script's that writes down what it was asked; tests/wheel/ runs the step with pip itself."""
    (tmp_path / "ci").mkdir()
    (tmp_path / "ci" / "it is.whl").touch()
    for model, extra in (("model.tflite", "oracle"), ("recipe.yaml", "all")):
        path = write_ci(service, tmp_path / model, True, tmp_path, str(tmp_path / "ci" / "it is.whl"))
        workflow = Workflow(path)
        (tmp_path / "programs").mkdir(exist_ok=True)
        program(tmp_path / "programs" / "python3", 'mkdir -p "$3/bin"; cp programs/pip "$3/bin"')
        program(tmp_path / "programs" / "pip", 'for one; do echo "$one"; done > asked')
        done = workflow.run(workflow.step("pip install"), tmp_path, workflow.matrix[0])
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "asked").read_text().splitlines() == ["install", "ci/it is.whl", f"tinyflow-mcu[{extra}]"]
    if service == "github":
        assert (tmp_path / "path").read_text().splitlines()[-1] == str(tmp_path / ".tinyflow" / "bin")


def test_a_wheel_that_ci_does_not_see_is_refused(tmp_path):
    project = tmp_path / "project"
    (project / "ci").mkdir(parents=True)
    for wheel, said in (
        (tmp_path / "tinyflow.whl", "is not in the project"),
        (project / "absent.whl", "is not there"),
        (project / "ci", "is not a wheel"),
    ):
        with pytest.raises(TinyflowError, match=said) as error:
            write_ci("github", project / "recipe.yaml", project=project, wheel=str(wheel))
        assert error.value.hint and not (project / PLACES["github"]).exists()
    url = "https://example.invalid/tinyflow_mcu-0.1.0-py3-none-any.whl#sha256=12&x"
    path = write_ci("github", project / "recipe.yaml", project=project, wheel=url)
    assert Workflow(path).variables["TINYFLOW_WHEEL"] == url


SOURCES = """Types: deb
# as the image has it
URIs: http://mirror/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/key.gpg

Types: deb
URIs: http://mirror/debian-security
Suites: bookworm-security
Components: main
"""


@pytest.mark.parametrize("service", SERVICES)
def test_qemu_comes_from_the_backports_of_the_containers_own_source(service, tmp_path):
    """apt-get is a script that writes down what it was asked; the rest is the template's own step."""
    workflow = written(service, tmp_path)
    (tmp_path / "apt").mkdir()
    (tmp_path / "apt" / "debian.sources").write_text(SOURCES)
    (tmp_path / "release").write_text("VERSION_CODENAME=bookworm\n")
    (tmp_path / "programs").mkdir()
    program(tmp_path / "programs" / "apt-get", 'echo "$@" >> asked')
    step = (
        workflow.step("apt-get update")
        .replace("/etc/apt/sources.list.d", "apt")
        .replace("/etc/os-release", "./release")
    )
    done = workflow.run(step, tmp_path, workflow.matrix[0])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "apt" / "backports.sources").read_text() == SOURCES.partition("\n\n")[0].replace(
        "bookworm bookworm-updates", "bookworm-backports"
    ) + "\n"
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[0] == "update" and asked[-1].endswith("-t bookworm-backports qemu-system-arm")


@pytest.mark.parametrize("service", SERVICES)
def test_renode_is_unpacked_and_its_checksum_compared(service, tmp_path):
    """The archive is a stand-in; the step is the template's own, its download by a script in gh's place or by curl."""
    (tmp_path / "renode_portable").mkdir()
    program(tmp_path / "renode_portable" / "renode", "echo Renode")
    with tarfile.open(tmp_path / "archive.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "renode_portable", "renode_portable")
    workflow = written(service, tmp_path)
    (row,) = [row for row in workflow.matrix if row["emulator"] == "renode"]
    step = workflow.step("sha256sum")
    if service == "github":
        (tmp_path / "programs").mkdir()
        program(tmp_path / "programs" / "gh", 'echo "$@" > asked; for last; do :; done; cp archive.tar.gz "$last"')
    elif not shutil.which("curl"):
        pytest.skip("needs curl: apt-get install curl")
    else:
        step += '\necho "RENODE=$RENODE" >> env'
    variables = {"RENODE_URL": f"file://{tmp_path}/archive.tar.gz"}
    wrong = workflow.run(step, tmp_path, row, RENODE_SHA256="0" * 64, **variables)
    assert wrong.returncode != 0 and "FAILED" in wrong.stdout and not (tmp_path / ".renode").exists()
    right = workflow.run(
        step, tmp_path, row, RENODE_SHA256=sha256((tmp_path / "archive.tar.gz").read_bytes()).hexdigest(), **variables
    )
    assert right.returncode == 0, right.stderr
    renode = (tmp_path / "env").read_text().strip().removeprefix("RENODE=")
    assert subprocess.run([renode], capture_output=True, text=True, check=True).stdout == "Renode\n"
    if service == "github":
        assert (tmp_path / "asked").read_text().split()[:3] == ["release", "download", "v1.16.0"]


def test_gitlab_without_the_url_of_renode_says_so(tmp_path):
    workflow = written("gitlab", tmp_path)
    done = workflow.run(workflow.step("sha256sum"), tmp_path, workflow.matrix[-1])
    assert done.returncode == 1 and "set RENODE_URL in" in done.stdout


@pytest.mark.slow
@pytest.mark.qemu
def test_the_check_passes_and_fails_as_it_should(tmp_path):
    """No baseline, the first one, a regression, a lost parity: the step as GitHub's template has it."""
    model, other = keyword_tflite(*MfccConfig().shape, 8), keyword_tflite(*MfccConfig().shape, 12)
    (tmp_path / "model.tflite").write_bytes(model)
    workflow = written("github", tmp_path)
    (row,) = [row for row in workflow.matrix if row["board"] == "mps2-an386"]
    step = workflow.step("tinyflow check")

    first = workflow.run(step, tmp_path, row)
    assert first.returncode == 1 and "there is no baseline ci/mps2-an386.json" in first.stderr, first.stderr
    baseline = tmp_path / "ci" / "mps2-an386.json"
    baseline.parent.mkdir()
    (tmp_path / "baselines" / "mps2-an386.json").rename(baseline)  # as a person commits what the run uploaded
    again = workflow.run(step, tmp_path, row)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "PASSED" in again.stdout and "WORSE" not in again.stdout
    now, was = (json.loads(path.read_text()) for path in (tmp_path / "baselines" / "mps2-an386.json", baseline))
    count = "instructions_per_inference"
    # the same every time but for ticks of the timer
    assert abs(now["figures"].pop(count) - was["figures"].pop(count)) <= 10 and now == was

    (tmp_path / "model.tflite").write_bytes(other)
    worse = workflow.run(step, tmp_path, row)
    assert worse.returncode == 1 and worse.stdout.count("WORSE") == 5
    figures = json.loads(baseline.read_text())["figures"]
    assert (
        "regression: instructions per inference" in worse.stderr
        and f"was {figures['instructions_per_inference']:,}" in worse.stderr
    )

    (tmp_path / "model.tflite").write_bytes(model)
    (compiled,) = [
        path
        for path in (tmp_path / "runs").glob("model-*/compile")
        if sha256((tmp_path / "model.tflite").read_bytes()).hexdigest()[:8] in str(path)
    ]
    source = (compiled / "c" / "model.c").read_text()
    changed = re.sub(
        r"(model_const_1_weights\[\d+\] = \{\s*)(-?\d+)", lambda found: f"{found[1]}{-int(found[2]) or 99}", source
    )
    assert changed != source
    (compiled / "c" / "model.c").write_text(changed)
    shutil.rmtree(compiled.parent / "build")
    lost = workflow.run(step, tmp_path, row)
    assert lost.returncode == 1 and "lost parity: random rows: " in lost.stderr and "regression" not in lost.stderr, (
        lost.stderr
    )


def test_gitlab_runs_the_same_check(tmp_path):
    commands = {service: written(service, tmp_path).step("tinyflow check") for service in SERVICES}
    as_gitlab = re.sub(r"\$\{\{ matrix\.(\w+) \}\}", lambda found: f"${found[1].upper()}", commands["github"])
    assert as_gitlab == commands["gitlab"]


def test_what_is_there_is_not_overwritten(tmp_path):
    path = write_ci("gitlab", tmp_path / "recipe.yaml", project=tmp_path)
    assert "MODEL: --recipe recipe.yaml" in path.read_text()
    path.write_text("theirs")
    with pytest.raises(TinyflowError, match="exists") as error:
        write_ci("gitlab", tmp_path / "recipe.yaml", project=tmp_path)
    assert "--force" in error.value.hint and path.read_text() == "theirs"
    write_ci("gitlab", tmp_path / "deep" / "mine.yaml", force=True, project=tmp_path)
    assert "MODEL: --recipe deep/mine.yaml" in path.read_text()


@pytest.mark.parametrize("model, said", [("../recipe.yaml", "not in the project"), ("my recipe.yaml", "needs quoting")])
def test_a_model_that_ci_cannot_name_is_refused(model, said, tmp_path):
    with pytest.raises(TinyflowError, match=said):
        write_ci("github", tmp_path / model, project=tmp_path)
    assert not list(tmp_path.iterdir())


def test_init_writes_workflow_and_recipe_and_leaves_a_recipe_alone(tmp_path, monkeypatch, capsys):
    from tinyflow.cli import main

    monkeypatch.chdir(tmp_path)
    main(["init", "--ci", "github", "--json"])
    assert json.loads(capsys.readouterr().out) == {
        "ci": ".github/workflows/tinyflow.yml",
        "recipe": "recipe.yaml",
        "genotype": "recipe.genotype.json",
    }
    (tmp_path / "recipe.yaml").write_text("name: mine\n")
    main(["init", "--ci", "gitlab"])
    said = capsys.readouterr().out
    assert (
        (tmp_path / "recipe.yaml").read_text() == "name: mine\n"
        and "tinyflow check --recipe recipe.yaml --board mps2-an386 --write-baseline" in said
    )
    with pytest.raises(SystemExit):
        main(["init", "other.yaml", "--wheel", "some.whl"])
    assert "without --ci" in capsys.readouterr().err and not (tmp_path / "other.yaml").exists()
    with pytest.raises(SystemExit):
        main(["init", "absent.tflite", "--ci", "gitlab", "--force"])
    assert "absent.tflite does not exist" in capsys.readouterr().err
