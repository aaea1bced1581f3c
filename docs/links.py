"""Links between the Markdown files of the repository lead somewhere: to files, and to anchors as GitHub makes them.

    python docs/links.py [files]

MkDocs checks those of its pages again, by its own anchors (`make docs`), so that a link works in both places.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^ *(```+|~~~+).*?^ *\1[`~]*$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"(`+).+?\1", re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Those that GitHub gives the headings of a page: repeated ones are numbered."""
    found: set[str] = set()
    for heading in HEADING.findall(FENCE.sub("", text)):
        plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number, anchor = 0, name
        while anchor in found:
            number += 1
            anchor = f"{name}-{number}"
        found.add(anchor)
    return found


def broken(path: Path) -> list[str]:
    """The links of the Markdown file ``path`` that lead nowhere; those to other hosts are not asked."""
    text, wrong = path.read_text(encoding="utf-8"), []
    for link in LINK.findall(CODE.sub("", FENCE.sub("", text))):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        if not target.exists():
            wrong.append(f"{path}: {link}: there is no {name}")
        elif anchor and (target.suffix != ".md" or anchor not in anchors(target.read_text(encoding="utf-8"))):
            wrong.append(f"{path}: {link}: {target.name} has no heading #{anchor}")
    return wrong


def pages() -> list[Path]:
    """Every Markdown file of the repository; as git has them, with those that are not yet committed."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in names if (ROOT / name).is_file()]


if __name__ == "__main__":
    found = [line for page in [Path(name) for name in sys.argv[1:]] or pages() for line in broken(page)]
    print(*found, sep="\n", end="\n" if found else "", file=sys.stderr)
    sys.exit(bool(found))
