"""MkDocs' hooks: the pages at the repository's root are pages of the site too, and a reader's browser fetches nothing.

Links are written as they work in the repository, `docs/boards.md` from the root and `../CHANGELOG.md` from docs/; here
they become those of the site.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
LINK = re.compile(rf"(?<=\]\()(?:docs/|(?:\.\./)?({'|'.join(map(re.escape, ROOT_PAGES))})(?=[)#]))")
# What a browser fetches as it shows a page. `<a href>` is a link, which a reader follows or does not.
FETCHED = re.compile(r"""<(?:script|img|iframe|link(?=[^>]*stylesheet))\b[^>]*?(?:src|href)=["']?(?:https?:|//)""")


def on_files(files: Files, config: Any, **_: Any) -> Files:
    for name, page in ROOT_PAGES.items():
        source = Path(config["config_file_path"]).with_name(name)
        files.append(File.generated(config, page, content=source.read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    return LINK.sub(lambda found: ROOT_PAGES.get(found[1], ""), markdown)


def on_post_build(config: Any, **_: Any) -> None:
    for page in sorted(Path(config["site_dir"]).rglob("*.html")):
        found = FETCHED.search(page.read_text(encoding="utf-8"))
        if found:
            raise PluginError(f"{page} fetches {found[0]!r}: the pages are to be read without a network")
