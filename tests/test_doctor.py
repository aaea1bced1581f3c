"""doctor: what is there is found as it is, what is missing is named with the command that mends it."""

import itertools
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest

from tinyflow import doctor
from tinyflow.artefacts import CONFIGS
from tinyflow.board import board_names, load_board
from tinyflow.deploy.flash import probes
from tinyflow.doctor import packages
from tinyflow.doctor.checks import Check
from tinyflow.extras import EXTRAS, install_command
from tinyflow.show import Reporter


def by_name() -> dict[str, Check]:
    return {check.name: check for check in doctor.diagnose().checks}


def test_agrees_with_this_machine():
    checks = by_name()
    assert checks["Python"].ok and sys.executable in checks["Python"].found
    for name, program in {
        "espeak-ng": "espeak-ng",
        "openocd": "openocd",
        "host C compiler": "cc",
        "arm-none-eabi-gcc with newlib-nano": "arm-none-eabi-gcc",
    }.items():
        assert checks[name].ok == bool(shutil.which(program)), name
    if shutil.which("arm-none-eabi-gcc"):
        version = subprocess.run(["arm-none-eabi-gcc", "-dumpversion"], capture_output=True, text=True).stdout.strip()
        assert version in checks["arm-none-eabi-gcc with newlib-nano"].found
    assert checks["QEMU with mps2-an386"].ok == bool(shutil.which("qemu-system-arm"))
    assert f"numpy {metadata.version('numpy')}" in checks["Python packages"].found


def test_is_quick_and_light():
    code = (
        "import sys; from tinyflow.doctor import diagnose; diagnose(); print([m for m in ('torch', 'tensorflow',"
        " 'onnx', 'numpy', 'matplotlib') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert result.stdout.strip() == "[]", result.stderr


def test_everything_missing_is_named_with_a_command(monkeypatch, tmp_path):
    for variable in ("OPENOCD", "PYOCD", "RENODE", "TINYFLOW_DATA", "TFLM_ROOT", "CC"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))  # programs of wheels lie beside it
    monkeypatch.setattr(probes, "SYSFS", tmp_path / "none")
    checks = by_name()
    missing = {name for name, check in checks.items() if not check.ok and not check.optional}
    assert missing == {"espeak-ng", "host C compiler", "arm-none-eabi-gcc with newlib-nano"} | {
        f"QEMU with {name}" for name in board_names() if load_board(name).qemu
    }
    assert all(check.mend for check in checks.values() if not check.ok)
    assert (
        checks["arm-none-eabi-gcc with newlib-nano"].mend
        == "sudo apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"
    )
    assert checks["openocd"].optional and checks["openocd"].mend == "sudo apt-get install openocd"
    assert not checks["TINYFLOW_DATA"].ok and checks["TINYFLOW_DATA"].found == "not set"


def program(folder, name: str, script: str) -> None:
    path = folder / name
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)


def test_toolchain_without_newlib_and_qemu_without_the_machine(monkeypatch, tmp_path):
    program(tmp_path, "arm-none-eabi-gcc", 'case $1 in --version) echo "gcc 12";; *) echo libc_nano.a;; esac\n')
    program(
        tmp_path,
        "qemu-system-arm",
        'case $1 in --version) echo "QEMU emulator version 8.1.0";; *) echo "virt   a board";; esac\n',
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    checks = by_name()
    assert (
        not checks["arm-none-eabi-gcc with newlib-nano"].ok
        and "no libc_nano.a" in checks["arm-none-eabi-gcc with newlib-nano"].found
    )
    assert (
        checks["QEMU with mps2-an386"].found == "QEMU 8.1.0 without the machine mps2-an386"
        and not checks["QEMU with mps2-an386"].ok
    )
    program(tmp_path, "qemu-system-arm", 'echo "QEMU emulator version 6.2.0"\n')
    old = by_name()
    assert "older than 7.0" in old["QEMU with mps2-an386"].found and not old["QEMU with mps2-an386"].optional
    assert (
        "older than 9.1" in old["QEMU with b-l475e-iot01a"].found
        and "make setup" in old["QEMU with b-l475e-iot01a"].mend
        and old["QEMU with b-l475e-iot01a"].optional
    )


def installed(monkeypatch, requirements: list[str], **versions: str) -> None:
    """As if tinyflow's metadata asked for ``requirements`` and only ``versions`` were installed."""

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "requires", lambda name: requirements)
    monkeypatch.setattr(metadata, "version", version)


def test_python_packages_absent_or_of_another_version(monkeypatch):
    requirements = [
        "numpy<3,>=9.9",
        "click==8.5.1",
        "nowhere-to-be-found==1.0; extra == 'convert'",
        "also-absent==2; (python_version < '3.5') and extra == 'convert'",
    ]
    installed(monkeypatch, requirements, numpy="2.3.1", click="8.5.1")
    checks = {check.name: check for check in packages.python_packages()}
    assert checks["Python packages"].found == "numpy 2.3.1 (wanted: <3,>=9.9)" and not checks["Python packages"].ok
    assert checks["Python packages [convert]"].found == "nowhere-to-be-found absent"
    assert checks["Python packages [convert]"].mend == f"{sys.executable} -m pip install 'tinyflow-mcu[convert]'"


EXTRAS_WANTED = [
    "numpy>=1.26",
    "tflite-micro==0.dev7; extra == 'oracle'",
    "torch<2.12,>=2.11; extra == 'train'",
    "torch<2.12,>=2.11; extra == 'convert'",
    "onnx==1.19.1; extra == 'convert'",
    "ruff==1; extra == 'lint'",
]


@pytest.mark.parametrize(
    "there, size, missing",
    [
        ({}, "base", {"oracle", "train", "convert"}),
        ({"tflite-micro": "0.dev7"}, "base and oracle", {"train", "convert"}),
        ({"tflite-micro": "0.dev8"}, "base", {"oracle", "train", "convert"}),
        ({"torch": "2.11.1"}, "base and train", {"oracle", "convert"}),  # half of what convert wants
        ({"torch": "2.12"}, "base", {"oracle", "train", "convert"}),
        ({"tflite-micro": "0.dev7", "torch": "2.11", "onnx": "1.19.1"}, "all", set()),
    ],
)
def test_the_size_is_said_and_what_each_missing_extra_would_add(monkeypatch, capsys, tmp_path, there, size, missing):
    installed(monkeypatch, EXTRAS_WANTED, numpy="2.0", **there)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))  # no program is asked for its version
    found = doctor.diagnose()
    assert found.size == size and {extra.name for extra in found.extras if not extra.installed} == missing
    checks = {check.name: check for check in found.checks}
    assert all(check.ok or check.optional for name, check in checks.items() if name.startswith("Python packages"))
    assert checks["espeak-ng"].optional == ("train" in missing)  # an absent extra is no fault, nor what it alone needs
    Reporter().doctor(found)
    text = capsys.readouterr().out
    assert f"installed: {size}\n" in text
    for name, extra in EXTRAS.items():
        told = f"[{name}], about {extra.megabytes:,} MB, would add: {extra.adds}\n    {install_command(name)}\n"
        assert (told in text) == (name in missing) and extra.megabytes > 0


def test_an_installed_wheel_names_no_extras_of_developers(monkeypatch):
    developers = {f"Python packages [{name}]" for name in packages.DEVELOPERS}
    assert developers < {check.name for check in packages.python_packages()}
    monkeypatch.setattr(packages, "CHECKOUT", False)
    assert not developers & {check.name for check in packages.python_packages()}


def test_every_version_of_pyproject_can_be_read():
    project = tomllib.loads((CONFIGS.parent / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    for requirement in wanted:
        name, versions = re.fullmatch(r"([\w.-]+)(?:\[.*\])?([^;]*)(?:;.*)?", requirement.strip()).groups()
        assert packages.fits("999", versions.strip()) is ("==" not in versions and "<" not in versions), name


def test_probe_and_permission(monkeypatch, tmp_path):
    device, node = tmp_path / "sys/1-1", tmp_path / "dev/001/004"
    device.mkdir(parents=True)
    node.parent.mkdir(parents=True)
    node.touch()
    for name, value in {
        "idVendor": "0483",
        "idProduct": "374b",
        "serial": "S1",
        "product": "STM32 STLink",
        "busnum": "1",
        "devnum": "4",
    }.items():
        (device / name).write_text(value + "\n")
    for name, folder in {"SYSFS": "sys", "NODES": "dev", "BLOCKS": "blocks", "LABELS": "labels"}.items():
        monkeypatch.setattr(probes, name, tmp_path / folder)
    check = by_name()["debug probe S1"]
    assert (
        check.ok
        and check.found.startswith("STM32 STLink S1 (of ")
        and "nucleo-l4r5zi" in check.found
        and "nrf52840dk" not in check.found
    )
    assert "b-l475e-iot01a" in check.found  # it shares the ids; the drive's label tells them apart
    for folder in ("sys/1-1/block/sda", "blocks", "labels"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "blocks/sda").symlink_to(device / "block/sda")
    (tmp_path / "labels/NODE_L4R5ZI").symlink_to(tmp_path / "dev/sda")
    assert by_name()["debug probe S1"].found == "STM32 STLink S1 (of nucleo-l4r5zi)"
    (tmp_path / "labels/NODE_L4R5ZI").rename(tmp_path / "labels/NODE_F401RE")
    assert by_name()["debug probe S1"].found == "STM32 STLink S1 (of NODE_F401RE, no board of tinyflow's)"
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: False if path == node else allowed(path, mode))
    check = by_name()["debug probe S1"]
    assert not check.ok and "is not writable" in check.found and 'ATTRS{idProduct}=="374b"' in check.mend


def test_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("TINYFLOW_DATA", str(tmp_path))
    assert by_name()["TINYFLOW_DATA"].ok
    monkeypatch.setenv("TINYFLOW_DATA", str(tmp_path / "gone"))
    assert not by_name()["TINYFLOW_DATA"].ok and "gone is not a folder" in by_name()["TINYFLOW_DATA"].found


def test_tflm_says_what_its_root_wants(monkeypatch, tmp_path):
    monkeypatch.delenv("TFLM_ROOT", raising=False)
    assert by_name()["TFLM_ROOT"].found == "not set" and "docs/tflm.md" in by_name()["TFLM_ROOT"].mend
    for value, said in ((tmp_path / "gone", "not a folder"), (tmp_path, "libtensorflow-microlite.a")):
        monkeypatch.setenv("TFLM_ROOT", str(value))
        check = by_name()["TFLM_ROOT"]
        assert not check.ok and check.optional and said in check.found
    assert "make -f tensorflow/lite/micro/tools/make/Makefile" in check.mend


@pytest.mark.parametrize(
    "script, found",
    [
        ("echo 'Renode v1.15.3.5846'", "Renode 1.15.3 ("),
        ("echo 'Renode, version 1.9.0.28176 (x)'", "older than 1.1"),
        ("exit 1", "does not say its version"),
    ],
)
def test_renode_and_its_age(monkeypatch, tmp_path, script, found):
    program(tmp_path, "renode", script + "\n")
    monkeypatch.setenv("RENODE", str(tmp_path / "renode"))
    check = by_name()["Renode"]
    assert (
        found in check.found
        and check.ok == (found == "Renode 1.15.3 (")
        and check.optional
        and "nucleo-l4r5zi" in check.needed_for
    )
