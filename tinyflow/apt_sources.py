"""Debian's backports by the address, key and options that a machine takes Debian itself from.

setup.sh runs it before anything is installed: `python tinyflow/apt_sources.py CODENAME ADDRESS` prints a source for
/etc/apt/sources.list.d, in the format of the machine's own: one line (deb ...) or deb822 (Types: deb ...).
"""

import re
import sys
from pathlib import Path

APT = Path("/etc/apt")


def backports(codename: str, address: str, folder: Path = APT) -> str:
    """The source of <codename>-backports, made of the one that has <codename> main from ``address``; "" when there is
    none.
    """
    for path in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]:
        if path.suffix not in (".list", ".sources") or not path.is_file():
            continue
        text = path.read_text(errors="replace")
        found = _stanza(text, codename, address) if path.suffix == ".sources" else _line(text, codename, address)
        if found:
            return found
    return ""


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")


def _line(text: str, codename: str, address: str) -> str:
    """From `deb [options] address suite components...`"""
    for options, where, suite, components in re.findall(
        r"^[ \t]*deb[ \t]+(\[[^]]*\][ \t]+)?(\S+)[ \t]+(\S+)[ \t]+([^#\n]+)", text, re.M
    ):
        if _same(where, address) and suite == codename and "main" in components.split():
            return f"deb {options}{where} {codename}-backports main\n"
    return ""


def _stanza(text: str, codename: str, address: str) -> str:
    """From deb822: fields, whose values may go on in indented lines, in stanzas between empty lines."""
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t") and name:
                fields[name] += "\n" + line
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().title()
                fields[name] = value.strip()
        words = {name: value.split() for name, value in fields.items()}
        where = next((uri for uri in words.get("Uris", []) if _same(uri, address)), "")
        switched_off = fields.get("Enabled", "yes").lower() in ("no", "false", "0", "off")
        if (
            where
            and not switched_off
            and "deb" in words.get("Types", [])
            and codename in words.get("Suites", [])
            and "main" in words.get("Components", [])
        ):
            fields |= {"Types": "deb", "Uris": where, "Suites": f"{codename}-backports", "Components": "main"}
            return "".join(
                f"{name}:{'' if value.startswith(chr(10)) else ' '}{value}\n" for name, value in fields.items()
            )
    return ""


if __name__ == "__main__":
    print(backports(sys.argv[1], sys.argv[2]), end="")
