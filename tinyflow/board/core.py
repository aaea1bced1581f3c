"""Core: what every chip with it has in common. boards/cores.yaml, a row a core; a board.yaml may bring its own."""

from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tinyflow.artefacts import BOARDS
from tinyflow.board.schema import FORBID, read_yaml, validated
from tinyflow.errors import TinyflowError

CORES = BOARDS / "cores.yaml"
OF_A_CORE = {"cpu_flags": "flags", "fpu": "fpu", "dsp": "dsp", "tflm": "tflm", "compiler": "compiler"}  # once a board's


@dataclass(frozen=True)
class Core:
    __pydantic_config__ = FORBID
    name: str
    flags: tuple[str, ...] = ()  # of compiler and linker
    fpu: bool = False  # single precision
    dsp: bool = False  # DSP extension: SMLAD and its kin
    mve: bool = False  # Helium: 16 products of 8 bits an instruction
    tflm: str = ""  # TFLM's own name of the core (TARGET_ARCH of its build); empty: no tflm runtime
    compiler: Literal["arm-none-eabi-gcc", "host"] = "arm-none-eabi-gcc"


@cache
def _cores() -> dict[str, Core]:
    return {
        name: validated(Core, {"name": name, **row}, CORES, "docs/boards.md: cores")
        for name, row in read_yaml(CORES).items()
    }


def core_names() -> list[str]:
    return list(_cores())


def read_core(value: Any, path: Path) -> Core:
    """The ``core`` of the board.yaml ``path``: a name of cores.yaml, or a core of the board's own, {name, flags, ...}.

    Errors: no such core; a wrong key.
    """
    if isinstance(value, dict):
        return validated(Core, value, path, "docs/boards.md: cores", "core.")
    core = _cores().get(value) if isinstance(value, str) else None
    if core is None:
        near = get_close_matches(str(value), core_names(), 1)
        raise TinyflowError(
            f"{path}: there is no core {value!r}",
            (f"did you mean {near[0]!r}? " if near else "")
            + f"cores.yaml has {', '.join(core_names())}; another one is described in its place:"
            " core: {name: ..., flags: [...]} (docs/boards.md)",
        )
    return core


def refuse_old_keys(value: dict[str, Any], path: Path) -> None:
    """TinyflowError for a board.yaml of before cores.yaml, which repeats what is its core's, with what to write now."""
    old = {new: value[key] for key, new in OF_A_CORE.items() if key in value}
    if not old:
        return
    known = _cores().get(str(value.get("core")))
    if known and all(_same(getattr(known, key), item) for key, item in old.items()):
        hint = f"take these lines out: `core: {known.name}` brings them"
    else:
        row = ", ".join(f"{key}: {_inline(item)}" for key, item in {"name": value.get("core"), **old}.items())
        hint = f"take these lines out and describe the core in one: core: {{{row}}}"
    keys = ", ".join(key for key in OF_A_CORE if key in value)
    raise TinyflowError(f"{path}: {keys}: facts of a core stand once, in boards/cores.yaml, no more in boards", hint)


def _same(fact: Any, item: Any) -> bool:
    return bool((list(fact) if isinstance(fact, tuple) else fact) == item)


def _inline(item: Any) -> str:
    if isinstance(item, list):
        return f"[{', '.join(map(str, item))}]"
    return str(item).lower() if isinstance(item, bool) else str(item)
