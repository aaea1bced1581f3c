"""What the compiler and the linker are told: the one set of flags for all models, boards and runtimes."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tinyflow.artefacts import FIRMWARE
from tinyflow.board import Board
from tinyflow.objects import ToolError, workbench

# -ffp-contract=off: host and device compute the same floats.
BOTH = (
    "-O2 -g -ffp-contract=off -fno-common -ffunction-sections -fdata-sections"
    " -fno-unwind-tables -fno-asynchronous-unwind-tables -Wall -Wextra -Werror"
).split()
C = ("-std=c99", *BOTH)
SIZE = "-Os"
# Of kernels, what is not counted, computes a handful of values, or only feeds an inner block of assembly, is small
# rather than fast. So is all that is not computing (ImageSources.app).
SMALL = frozenset(
    FIRMWARE / "kernels" / name for name in ("conv_2d_packed_s8.c", "pointwise_conv_2d_s8.c", "softmax_s8.c")
)
CXX = "-std=c++17 -fno-exceptions -fno-rtti -fno-threadsafe-statics".split()
# TF_LITE_STATIC_MEMORY: as in TFLM's own build, for it changes what its structures hold
TFLM_DEFINES = ("TF_LITE_STATIC_MEMORY", "TF_LITE_STRIP_ERROR_STRINGS", "NDEBUG")

# newlib-nano gives memcpy, memset and their like; start-up and system calls are ours, or absent.
LINK = (
    "--specs=nano.specs -nostartfiles -Wl,--gc-sections -Wl,--fatal-warnings"
    " -Wl,--no-warn-rwx-segments -Wl,-Map=firmware.map -Tlinker.ld"
).split()
MATHS = "-lm"  # fmaf, where the host has no instruction for it
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@dataclass(frozen=True)
class Flags:
    """Of an image: for each language, and to link."""

    c: tuple[str, ...]
    cxx: tuple[str, ...]
    link: tuple[str, ...]  # before the objects
    libraries: tuple[str, ...]  # after them


def image_flags(board: Board, compiler: tuple[str, ...], interpreted: bool = False) -> Flags:
    """For ``board``, compiled by ``compiler``. interpreted: around TFLM."""
    libraries = (MATHS,) if interpreted or board.core.compiler == "host" else ()
    if board.core.compiler == "host":
        checks = SANITIZE if has_sanitizers(compiler) else ()
        return Flags((*C, *checks), (), checks, libraries)
    core = tuple(board.core.flags)
    return Flags((*core, *C), (*core, *BOTH), (*core, *LINK), libraries)


def defines(board: Board) -> tuple[str, ...]:
    """What board.yaml defines, for the port and the rest of the application."""
    values = {**board.defines, "CONSOLE_BAUD": board.console.baud, "CLOCK_HZ": board.clock_hz}
    return tuple(f"-D{key}={value}" for key, value in values.items())


@cache
def has_sanitizers(compiler: tuple[str, ...]) -> bool:
    """Whether the host's compiler links with them: their libraries may be a package of their own."""
    with workbench({}) as bench:
        Path(bench.folder, "empty.c").write_text("int main(void) { return 0; }\n")
        try:
            bench.run([*compiler, *SANITIZE, "empty.c", "-o", "empty"])
        except ToolError:
            return False
    return True
