"""Which file of the project stands where in the site.

Pages of docs/ stand at its top. All else that a page links to comes along under its own path: Markdown as a
page, other text as a page that shows it, a folder as the list of what is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from posixpath import normpath
from urllib.parse import urlsplit

PROJECT = Path(__file__).parents[2]
DOCS = "docs"
# Shown by pages that are made of them.
RENDERED = {"docs/asyncapi.yaml": "asyncapi.md", "edgeassist/assets/settings.schema.json": "settings.md"}
# In the navigation, whoever links to them.
ALWAYS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
# Who searches wants documents.
_UNSEARCHED = "---\nsearch: { exclude: true }\n---\n"
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_FENCE = re.compile(r"^ *(```+|~~~+).*?^ *\1`*$", re.MULTILINE | re.DOTALL)
_LANGUAGES = {
    ".py": "python",
    ".sh": "bash",
    ".toml": "toml",
    ".json": "json",
    ".ino": "cpp",
    ".h": "cpp",
    ".yaml": "yaml",
}


@dataclass(frozen=True)
class Source:
    """A file or folder beside docs/.

    Attributes:
        path: In the project.
        uri: Of its page, as mkdocs names sources.
    """

    path: str
    uri: str

    def markdown(self) -> str:
        """Return the page."""
        file = PROJECT / self.path
        if file.suffix == ".md":
            return file.read_text()
        if file.is_dir():
            names = sorted(each.name for each in file.iterdir() if each.name != "__pycache__")
            listed = "\n".join(f"- `{name}`" for name in names)
            return f"{_UNSEARCHED}# {self.path}\n\nA folder of the source:\n\n{listed}\n"
        text = file.read_text()
        fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=2) + 1)
        return (
            f"{_UNSEARCHED}# {self.path}\n\n{fence}{_LANGUAGES.get(file.suffix, 'text')}\n{text}\n{fence}\n"
        )


def target_of(page: str, link: str) -> tuple[str, str] | None:
    """Return what a link in a file of the project leads to, and the anchor there.

    Args:
        page: The file's path in the project.
        link: As it is written.

    Returns:
        A path in the project; None where the link leads elsewhere, or stays on the page.
    """
    parts = urlsplit(link)
    if parts.scheme or parts.netloc or not parts.path or parts.path.startswith("/"):
        return None
    return normpath(f"{Path(page).parent}/{parts.path}"), parts.fragment


def uri_of(path: str) -> str:
    """Return where a path of the project stands in the site, as mkdocs names sources."""
    if path in RENDERED:
        return RENDERED[path]
    if path.startswith(f"{DOCS}/"):
        return path.removeprefix(f"{DOCS}/")
    file = PROJECT / path
    if file.is_dir():
        return f"{path}/README.md"
    return path if file.suffix == ".md" else f"{path}.md"


def path_of(uri: str) -> str:
    """Return the path in the project of a page of the site."""
    return f"{DOCS}/{uri}" if (PROJECT / DOCS / uri).exists() else uri


def beside() -> list[Source]:
    """Return all that pages link to and that is not in docs/, one after the other."""
    found: dict[str, Source] = {}
    waiting = [*ALWAYS, *(f"{DOCS}/{path.name}" for path in sorted((PROJECT / DOCS).glob("*.md")))]
    seen = set(waiting)
    while waiting:
        path = waiting.pop()
        file = PROJECT / path
        if not path.startswith(f"{DOCS}/") and path not in RENDERED:
            uri = uri_of(path)
            found[uri] = Source(f"{path}/README.md" if (file / "README.md").exists() else path, uri)
        for linked in _linked(path) if file.suffix == ".md" else ():
            if linked not in seen and (PROJECT / linked).exists():
                seen.add(linked)
                waiting.append(linked)
    return sorted(found.values(), key=lambda each: each.uri)


def _linked(page: str) -> Iterator[str]:
    text = _FENCE.sub("", (PROJECT / page).read_text())
    for link in _LINK.findall(text):
        target = target_of(page, link)
        if target is not None:
            yield target[0]
