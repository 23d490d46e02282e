"""What mkdocs calls while it builds the site."""

from __future__ import annotations

import re
from posixpath import relpath
from typing import Any
from xml.etree.ElementTree import Element

from markdown import Markdown
from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor
from markdown.util import AtomicString
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

from scripts.site import asyncapi_page, settings_page
from scripts.site.sources import DOCS, PROJECT, RENDERED, beside, path_of, target_of, uri_of

# Which recorded session an example is from stands behind the language, where GitHub shows nothing of it.
_SESSION = re.compile(r"^```json ([\w.-]+\.json)$", re.MULTILINE)


class _Links(Treeprocessor):
    """Turns links to files of the project into links to their pages."""

    page = ""

    def run(self, root: Element) -> None:
        """Turn all of a page, and put right what GitHub reads otherwise."""
        for element in root.iter():
            for name in ("href", "src"):
                if (link := element.get(name)) is not None:
                    element.set(name, turned(self.page, link))
        for cell in root.iter("td"):
            for code in cell.iter("code"):
                code.text = AtomicString((code.text or "").replace("\\|", "|"))


class _Extension(Extension):
    def __init__(self, links: _Links) -> None:
        super().__init__()
        self.links = links

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - Python-Markdown's
        """Come before what mkdocs makes of links."""
        self.links.md = md
        md.treeprocessors.register(self.links, "files", 1)


_links = _Links()


def turned(page: str, link: str) -> str:
    """Return a link of a page as it is in the site.

    Args:
        page: The page's URI.
        link: As its file has it.
    """
    target = target_of(path_of(page), link)
    if page in RENDERED.values() or target is None or not (PROJECT / target[0]).exists():
        return link
    path, anchor = target
    return relpath(uri_of(path), page.rpartition("/")[0] or ".") + (f"#{anchor}" if anchor else "")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Read links our way."""
    extensions: list[Any] = config.markdown_extensions
    extensions.append(_Extension(_links))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is beside docs/, and what is made of the contract."""
    for source in beside():
        inclusion = InclusionLevel.INCLUDED if source.path.endswith(".md") else InclusionLevel.NOT_IN_NAV
        files.append(File.generated(config, source.uri, content=source.markdown(), inclusion=inclusion))
    for path in RENDERED:
        if not path.startswith(f"{DOCS}/"):
            name = path.rpartition("/")[2]
            files.append(File.generated(config, name, abs_src_path=str(PROJECT / path)))
    files.append(File.generated(config, "asyncapi.md", content=asyncapi_page.markdown()))
    files.append(File.generated(config, "settings.md", content=settings_page.markdown()))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Name the recorded session above an example, and set what a page's own file can't say on GitHub."""
    del config, files
    if page.is_homepage:
        page.meta["hide"] = ["navigation"]
    if page.file.src_uri == "protocol.md":  # found first, where its words are looked for
        page.meta["search"] = {"boost": 2}
    _links.page = page.file.src_uri
    return _SESSION.sub(r'```json title="\1"', markdown)
