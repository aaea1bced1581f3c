"""What the base size does with a foreign int8 model, in a folder of its own: one walk for every environment."""

import subprocess
from pathlib import Path

import numpy as np
from fresh import Fresh, outside

HEAVY = {
    "torch",
    "tensorflow",
    "ray",
    "matplotlib",
    "onnx",
    "ai-edge-litert",
    "tflite-runtime",
    "tflite-micro",
    "cmake",
}
BOARD = ("--board", "mps2-an386")
TFLITE = ("--tflite", "model.tflite")


def walk(fresh: Fresh, project: Path) -> None:
    """From boards to check, with what each command says for itself."""
    help_text = fresh.run("--help", cwd=project).stdout
    assert "From labelled audio" in help_text and "export" in help_text
    boards = {board["name"]: board for board in fresh.says("boards", cwd=project)["boards"]}
    assert {"host", "mps2-an386", "nucleo-l4r5zi"} < set(boards)
    assert all(Path(board["folder"]).is_relative_to(fresh.folder) for board in boards.values())

    assert fresh.says("init", "mine.yaml", cwd=project)["recipe"] == "mine.yaml"
    assert (project / "mine.yaml").stat().st_size > 1000
    assert fresh.says("init", "model.tflite", "--ci", "github", cwd=project)["ci"] == ".github/workflows/tinyflow.yml"

    fits = fresh.says("compile", *TFLITE, cwd=project)["compiled"]["fits"]
    assert fits["nucleo-l4r5zi"] and "host" not in fits
    built = fresh.says("build", *TFLITE, "--board", "nucleo-l4r5zi", cwd=project)
    assert (project / built["run"] / "build" / "nucleo-l4r5zi" / "firmware.elf").is_file()
    fresh.says("build", *TFLITE, *BOARD, cwd=project)

    rows = np.random.default_rng(1).integers(-128, 128, (3, 24, 10, 1), dtype=np.int8)
    np.save(project / "rows.npy", rows)
    for place in ("mps2-an386", "host"):
        asked = ("--board", place, "--input", "rows.npy", "--output", f"{place}.npy")
        fresh.says("run", *TFLITE, *asked, cwd=project)
    answers = [np.load(project / f"{place}.npy") for place in ("mps2-an386", "host")]
    assert answers[0].shape == (3, 4) and np.array_equal(*answers)

    validation = fresh.says("validate", *TFLITE, *BOARD, cwd=project)
    assert validation["passed"] and validation["equal"] == validation["rows"] == 8
    profile = fresh.says("profile", *TFLITE, *BOARD, cwd=project)
    assert profile["unit"] == "instructions" and len(profile["layers"]) >= 5 and profile["layers_agree"]

    library = (
        "import sys, numpy, tinyflow\n"
        "model = tinyflow.compile_tflite('model.tflite', runs='runs')\n"
        "answers = model.run(numpy.load('rows.npy'))\n"
        "assert (answers == numpy.load('host.npy')).all() and model.report.fits['nucleo-l4r5zi']\n"
        "assert not {'torch', 'tensorflow', 'matplotlib', 'ray'} & set(sys.modules)\n"
    )
    subprocess.run([fresh.python, "-c", library], cwd=project, env=outside(), check=True)

    exported = fresh.says("export", *TFLITE, "--out", "c", cwd=project)
    assert exported["files"] and (project / "c" / "LICENSE").is_file()
    subprocess.run("cc -O2 *.c -lm && ./a.out", shell=True, cwd=project / "c", env=outside(), check=True)

    fresh.says("check", *TFLITE, *BOARD, "--write-baseline", "ci.json", cwd=project)
    assert fresh.says("check", *TFLITE, *BOARD, "--baseline", "ci.json", cwd=project)["passed"]
    assert not [path for path in project.rglob("*") if path.name == "__pycache__"]
