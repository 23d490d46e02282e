"""Links of all documents lead to files and headings that are there, as GitHub shows them."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

PROJECT = Path(__file__).parents[2]
_APART = {".venv", "build", "dist", "node_modules"}
DOCUMENTS = sorted(
    path
    for path in PROJECT.rglob("*.md")
    if not any(part in _APART or part.startswith(".") for part in path.relative_to(PROJECT).parts)
)


@cache
def tokens(path: Path) -> tuple[Token, ...]:
    found: list[Token] = []
    for token in MarkdownIt().enable("table").parse(path.read_text()):
        found += [token, *(token.children or ())]
    return tuple(found)


@cache
def anchors(path: Path) -> frozenset[str]:
    """Return the anchors that GitHub gives headings."""
    counted: Counter[str] = Counter()
    found = set()
    for token, heading in zip(tokens(path), tokens(path)[1:], strict=False):
        if token.type == "heading_open":
            text = "".join(part.content for part in heading.children or ())
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            found.add(f"{slug}-{counted[slug]}" if counted[slug] else slug)
            counted[slug] += 1
    return frozenset(found)


def links(path: Path) -> list[str]:
    found = [
        str(token.attrs[name]) for token in tokens(path) for name in ("href", "src") if name in token.attrs
    ]
    return [link for link in found if not urlsplit(link).scheme]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_link_of_a_document_leads_somewhere(path: Path) -> None:
    lost = []
    for link in links(path):
        parts = urlsplit(unquote(link))
        target = (path.parent / parts.path).resolve() if parts.path else path
        if not target.exists() or (parts.fragment and parts.fragment not in anchors(target)):
            lost.append(link)
    assert lost == []


def test_all_documents_are_looked_at() -> None:
    assert {"README.md", "CONTRIBUTING.md"} <= {path.name for path in DOCUMENTS if path.parent == PROJECT}
    assert sum(len(links(path)) for path in DOCUMENTS) > 200
    assert "the-same-request-twice" in anchors(PROJECT / "docs/protocol.md")
