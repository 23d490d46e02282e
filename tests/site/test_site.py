"""The documents as a site: it is whole, its links lead somewhere, and it needs nothing from elsewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
BUILD_S = 240
# What a browser gets by itself.
_LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
# Of links that say something and load nothing.
_SAYS = {"prev", "next", "canonical", "alternate", "edit"}


class Read(HTMLParser):
    """What a page loads, links to, and can be linked to at."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.code: list[str] = []
        self._in: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids |= {values["id"]} if "id" in values else set()
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if (name := _LOADS.get(tag)) in values and values.get("rel") not in _SAYS:
            self.loads.append(values[str(name)])
        if tag in {"td", "code", "p", "li"}:
            self._in.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._in:
            del self._in[len(self._in) - 1 - self._in[::-1].index(tag)]

    def handle_data(self, data: str) -> None:
        if self._in[-2:] != ["p", "code"] and "code" not in self._in and "```" in data:
            self.code.append(data)
        if self._in[-2:] == ["td", "code"] and "\\|" in data:
            self.code.append(data)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=PROJECT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    # A link or an anchor that is not there, a page that is in no menu.
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Read]:
    found = {}
    for path in site.rglob("*.html"):
        found[path] = Read()
        found[path].feed(path.read_text())
    return found


def test_it_has_every_document_and_what_they_link_to(site: Path) -> None:
    for path in (PROJECT / "docs").glob("*.md"):
        assert (site / path.with_suffix(".html").name).exists()
    for name in ("index.html", "settings.html", "asyncapi.html", "examples/python/ask.py.html"):
        assert (site / name).exists()
    assert (site / "asyncapi.yaml").read_bytes() == (PROJECT / "docs/asyncapi.yaml").read_bytes()


def test_it_loads_nothing_from_elsewhere(site: Path, pages: dict[Path, Read]) -> None:
    assert len(pages) > 40
    for path, page in pages.items():
        assert page.loads, path
        for load in page.loads:
            assert urlsplit(load).netloc == "", (path, load)
            # A page that is not found may be asked for in any folder.
            base = site if load.startswith("/") else path.parent
            assert (base / unquote(urlsplit(load).path).lstrip("/")).exists(), (path, load)
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(https?:)?//", style.read_text()), style


def test_every_link_leads_to_a_page_and_an_anchor_that_is_there(pages: dict[Path, Read]) -> None:
    """Also those of menus and of pages that are made; mkdocs has looked at the documents' own."""
    lost = []
    for path, page in pages.items():
        for link in page.links if path.name != "404.html" else ():
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchor = unquote(parts.fragment)
            if not target.exists() or (
                anchor and target in pages and anchor not in pages[target].ids | {"__top"}
            ):
                lost.append((path.name, link))
    assert lost == []


def test_what_stands_in_the_documents_is_rendered(pages: dict[Path, Read]) -> None:
    assert [(path.name, page.code) for path, page in pages.items() if page.code] == []


def test_documents_can_be_searched_without_a_server_and_source_is_left_out(site: Path) -> None:
    index = json.loads((site / "search/search_index.js").read_text().partition("=")[2])
    places = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert {"protocol.html", "asyncapi.html", "settings.html", "CONTRIBUTING.html"} <= places
    assert not {place for place in places if place.endswith((".py.html", ".sh.html", ".ino.html"))}


def test_every_topic_and_every_setting_is_on_its_page(site: Path) -> None:
    document = yaml.load((PROJECT / "docs/asyncapi.yaml").read_text(), Loader=yaml.CSafeLoader)
    page = (site / "asyncapi.html").read_text()
    assert [
        each["address"] for each in document["channels"].values() if (each["address"] or "") not in page
    ] == []
    schema = json.loads((PROJECT / "edgeassist/assets/settings.schema.json").read_text())
    page = (site / "settings.html").read_text()
    keys = [key for each in schema["properties"].values() for key in each.get("properties", ())]
    assert len(keys) > 60
    assert [key for key in keys if f"<code>{key}</code>" not in page] == []
    assert "Topics are &lt;base&gt;/&lt;device&gt;" in page
