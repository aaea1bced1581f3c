"""The table of operators in docs/kernels.md, from the registry:

python -m tinyflow.compile.operators.documentation docs/kernels.md
"""

import sys
from pathlib import Path

from tinyflow.compile.operators import OPERATORS, Trait
from tinyflow.compile.operators.registry import Row
from tinyflow.errors import TinyflowError

BEGIN = "<!-- operators: from tinyflow/compile/operators -->\n"
END = "<!-- operators end -->\n"


def table() -> str:
    """Markdown: a line for each different row, with the kinds that have it."""
    rows: dict[Row, list[str]] = {}
    for kind, operator in OPERATORS.items():
        ours = " (ours, of no file)" if operator.has(Trait.INTERNAL) else ""
        rows.setdefault(operator.row, []).append(f"`{kind}`{ours}")
    lines = ["| operator | kernel | supported | TFLM refuses, so do we |", "|---|---|---|---|"]
    for row, kinds in rows.items():
        cells = (", ".join(kinds), row.kernels, row.supported, row.refused)
        lines.append("|" + "".join(f" {cell} |" if cell else " |" for cell in cells))
    return "\n".join(lines) + "\n"


def refreshed(text: str) -> str:
    """``text`` with the table between the two marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        marks = f"{BEGIN.strip()} and {END.strip()}"
        raise TinyflowError("the document lacks the marks of the operators' table", marks)
    return f"{before}{begin}\n{table()}\n{end}{after}"


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(refreshed(document.read_text()))
