"""Sizes of a linked firmware image, read from its ELF file and map: by section, by function, by part, and the model's
share.
"""

from dataclasses import dataclass, field
from pathlib import Path

from tinyflow.deploy.image.linkmap import LinkMap
from tinyflow.errors import TinyflowError
from tinyflow.results import HIDDEN, json_property

MODEL_PREFIX = "model_const_"  # the generated C names packed weights, biases and multipliers so

ALLOC, WRITE = 0x2, 0x1  # SHF_ALLOC, SHF_WRITE


@dataclass(frozen=True)
class Section:
    name: str
    address: int
    bytes: int
    flash: bool  # occupies flash (the image of .data too)
    ram: bool  # occupies RAM


@dataclass(frozen=True)
class Symbol:
    name: str
    bytes: int
    section: str
    file: str = ""  # source file, where the debug information tells
    group: str = ""  # part of the firmware, where the map tells (linkmap.py)


@dataclass(frozen=True)
class Sizes:
    """All in bytes. ``functions`` and ``constants`` (objects that lie in flash only), the largest first."""

    flash_bytes: int  # loaded sections with the image of .data
    ram_bytes: int  # .data, .bss and the reserved stack where it is a section
    model_bytes: int  # constants named model_const_*: part of flash_bytes
    elf_sections: tuple[Section, ...] = field(metadata=HIDDEN)
    functions: tuple[Symbol, ...]
    constants: tuple[Symbol, ...]
    groups: dict[str, int] = field(default_factory=dict)  # flash_bytes by part, the largest first; {} without a map

    @json_property
    def sections(self) -> dict[str, int]:
        """Those in flash."""
        return {section.name: section.bytes for section in self.elf_sections if section.flash}

    @json_property
    def ram_sections(self) -> dict[str, int]:
        return {section.name: section.bytes for section in self.elf_sections if section.ram}


def measure(elf: Path | str) -> Sizes:
    """Sizes of the executable ``elf``, with its parts where a map lies beside it (the same name, .map).

    A host executable is measured alike: its writable sections count as RAM.
    """
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    path = Path(elf).with_suffix(".map")
    try:
        with open(elf, "rb") as file:
            return _measure(ELFFile(file), path.read_text() if path.is_file() else "")
    except FileNotFoundError:
        raise TinyflowError(f"no firmware at {elf}", "build it: tinyflow build --board <board>") from None
    except ELFError as error:
        raise TinyflowError(
            f"{elf} is not an ELF file: {error}", "build it again: tinyflow build --board <board>"
        ) from None


def _measure(elf, map_text: str) -> Sizes:
    sections: dict[int, Section] = {}
    for index, section in enumerate(elf.iter_sections()):
        if section["sh_flags"] & ALLOC and section["sh_size"]:
            sections[index] = _section(elf, section)
    source = _source_files(elf)
    linkmap = LinkMap(map_text, {section.name for section in sections.values() if section.flash}, MODEL_PREFIX)
    functions: dict[tuple[int, int], Symbol] = {}  # by place, so that an alias does not count twice
    constants: dict[tuple[int, int], Symbol] = {}
    table = elf.get_section_by_name(".symtab")
    for symbol in table.iter_symbols() if table else ():
        section = sections.get(symbol["st_shndx"])
        kind, address = symbol["st_info"]["type"], symbol["st_value"]
        if section is None or not symbol["st_size"]:
            continue
        if kind == "STT_FUNC":
            address &= ~1 if elf["e_machine"] == "EM_ARM" else ~0  # bit 0 says Thumb
            functions.setdefault(
                (symbol["st_shndx"], address),
                Symbol(symbol.name, symbol["st_size"], section.name, source(address), linkmap.group(address)),
            )
        elif kind == "STT_OBJECT" and section.flash and not section.ram:
            constants.setdefault(
                (symbol["st_shndx"], address),
                Symbol(symbol.name, symbol["st_size"], section.name, group=linkmap.group(address)),
            )
    flash_bytes = sum(section.bytes for section in sections.values() if section.flash)
    return Sizes(
        flash_bytes=flash_bytes,
        ram_bytes=sum(section.bytes for section in sections.values() if section.ram),
        model_bytes=sum(symbol.bytes for symbol in constants.values() if symbol.name.startswith(MODEL_PREFIX)),
        elf_sections=tuple(sections.values()),
        functions=_largest_first(functions.values()),
        constants=_largest_first(constants.values()),
        groups=linkmap.bytes(flash_bytes) if linkmap.pieces else {},
    )


def _largest_first(symbols) -> tuple[Symbol, ...]:
    return tuple(sorted(symbols, key=lambda symbol: (-symbol.bytes, symbol.name)))


def _section(elf, section) -> Section:
    empty = section["sh_type"] == "SHT_NOBITS"
    ram = bool(section["sh_flags"] & WRITE)
    if elf["e_machine"] == "EM_ARM" and ram and not empty:
        # Writable, yet used where it is loaded (.init_array): in flash alone. What is copied has another load address.
        ram = any(
            segment["p_vaddr"] != segment["p_paddr"]
            for segment in elf.iter_segments("PT_LOAD")
            if segment["p_vaddr"] <= section["sh_addr"] < segment["p_vaddr"] + segment["p_memsz"]
        )
    return Section(section.name, section["sh_addr"], section["sh_size"], flash=not empty, ram=ram or empty)


def _source_files(elf):
    """A function from an address to the source file's name; to "" without debug information."""
    if not elf.has_dwarf_info():
        return lambda address: ""
    dwarf = elf.get_dwarf_info()
    ranges = dwarf.get_aranges()

    def source(address: int) -> str:
        offset = ranges.cu_offset_at_addr(address) if ranges else None
        if offset is None:
            return ""
        name = dwarf.get_CU_at(offset).get_top_DIE().attributes.get("DW_AT_name")
        return Path(name.value.decode(errors="replace")).name if name else ""

    return source
