"""Griffe's extension for the reference: what a field means stands in the comment behind it, or in its ``key(...)``."""

import ast
import re
from typing import Any

from griffe import Attribute, Docstring, ExprCall, Extension

ESCAPED = re.compile(r"`[^`]*`|[_*<]")  # what Markdown would take for its own; code as it is
REMARK = re.compile(r"\s\s#\s(.+)")


class Remarks(Extension):
    """A field's remark becomes its docstring; a recipe's key shows its default alone."""

    def on_attribute(self, *, attr: Attribute, **_: Any) -> None:
        if isinstance(attr.value, ExprCall) and str(attr.value.function) == "key":
            attr.value, what = attr.value.arguments[:2]
            self._say(attr, ast.literal_eval(str(what)))
        elif attr.lineno and attr.endlineno:
            lines = attr.lines_collection[attr.filepath][: attr.endlineno]
            found = REMARK.search(lines[-1])
            if found:
                self._say(attr, found[1])
            elif attr.endlineno > 1 and (above := re.fullmatch(r"\s+# (.+)", lines[attr.lineno - 2])):
                self._say(attr, above[1])

    @staticmethod
    def _say(attr: Attribute, text: str) -> None:
        if attr.docstring is None:
            text = ESCAPED.sub(lambda found: {"_": r"\_", "*": r"\*", "<": "&lt;"}.get(found[0], found[0]), text)
            attr.docstring = Docstring(text, parent=attr)
