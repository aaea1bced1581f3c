"""Firmware: what build hands to run, validate, profile and flash. ``firmware.json`` beside ``firmware.elf``."""

import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tinyflow.artefacts import MANIFEST, atomic_folder, read_json, sha256, write_json
from tinyflow.errors import TinyflowError
from tinyflow.results import HIDDEN, json_property

if TYPE_CHECKING:
    from tinyflow.compile.artefact import Layer

FIRMWARE = "firmware.json"
Runtime = Literal["aot", "tflm"]  # what runs the network: C from the compiler, or TFLM's interpreter


@dataclass(frozen=True)
class Firmware:
    """An image that was built: its files are in ``folder``, sizes in bytes."""

    folder: Path = field(metadata=HIDDEN)
    board: str
    build_id: str  # what the firmware's `hello` says
    compiled: str  # folder of the CompiledModel
    compiler: str  # first line of its --version
    flags: str
    flash_bytes: int  # loaded sections with the image of .data
    model_bytes: int  # of it: packed weights, biases, multipliers
    ram_bytes: int  # .data + .bss (arena in it) + reserved stack
    arena_bytes: int
    stack_reserved_bytes: int
    clips: int = 0  # self-test clips in the image
    sections: dict[str, int] = field(default_factory=dict)
    runtime: Runtime = "aot"
    operators: "tuple[Layer, ...]" = ()  # of the runtime tflm, which runs the file's own; aot runs CompiledModel.layers
    library: str = ""  # which TFLM, of the runtime tflm
    elf_sha256: str = ""  # of firmware.elf; "" in folders of before it was stored

    @json_property
    def elf(self) -> Path:
        return self.folder / "firmware.elf"

    def check(self) -> None:
        """TinyflowError when firmware.elf is gone, or is not the file that was built: damaged, or copied over."""
        if not self.elf.is_file():
            raise TinyflowError(f"{self.elf} does not exist", f"tinyflow build --board {self.board}")
        if self.elf_sha256 and sha256(self.elf) != self.elf_sha256:
            raise TinyflowError(
                f"{self.elf} is not the file that was built: its SHA-256 differs",
                f"delete {self.folder}, then tinyflow build --board {self.board}",
            )

    def copy(self, out: Path | str) -> "Firmware":
        """This firmware with its files in ``out`` too, whole or not at all.

        An earlier copy there is replaced; any other folder that is not empty is refused.
        """
        out = Path(out).resolve()
        if out.exists() and not (out / FIRMWARE).is_file() and (out.is_file() or any(out.iterdir())):
            raise TinyflowError(f"{out} is there, and holds no firmware", "name a new folder, or an empty one")
        if Path.cwd().is_relative_to(out):
            raise TinyflowError(
                f"{out} is, or holds, the folder you are in: firmware replaces it whole", "name a folder of its own"
            )
        with atomic_folder(out) as folder:
            # the manifest is the stage's, and the compiler's commands name the folders that it worked in
            shutil.copytree(
                self.folder,
                folder,
                ignore=shutil.ignore_patterns(MANIFEST, "compile_commands.json"),
                dirs_exist_ok=True,
            )
        return replace(self, folder=out)

    def write(self) -> None:
        value: dict[str, Any] = asdict(self)
        del value["folder"]
        write_json(self.folder / FIRMWARE, value)


def load_firmware(folder: Path | str) -> Firmware:
    from tinyflow.compile.artefact import read_layers  # numpy, which `doctor` does not wait for

    folder = Path(folder)
    value = read_json(folder / FIRMWARE)
    try:
        return Firmware(folder=folder, **{**value, "operators": read_layers(value["operators"])})
    except (KeyError, TypeError) as error:
        raise TinyflowError(
            f"{folder / FIRMWARE} was written by another version of tinyflow: {error}", "run `tinyflow build` again"
        ) from None
