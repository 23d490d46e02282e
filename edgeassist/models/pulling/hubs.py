"""Hugging Face and ModelScope: what a repository holds, and which of it is a model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from edgeassist.errors import ModelError, PullError
from edgeassist.models.files.gguf_parts import is_later_part, parts_of, title_of
from edgeassist.models.files.onnx import CONFIG
from edgeassist.models.pulling.places import Places
from edgeassist.models.pulling.plan import Plan, Remote, digest_or_none, safe_name, size_or_none
from edgeassist.models.pulling.web import MissingError, RefusedError, Web

# OWNER/REPO[@REVISION][/PATH][:QUANTIZATION]
_SPECIFICATION = re.compile(
    r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>[\w.-]+))?(?:/(?P<path>[^:]+?))?/?(?::(?P<tag>[\w.-]+))?"
)
_NEXT = re.compile(r'<([^>]+)>\s*;\s*rel="next"')
_MAX_PAGES = 20
# Of so many files an error tells the names.
_TOLD = 20
# What lies beside language models and is none.
_ASIDE = re.compile(r"mmproj|imatrix|(?:^|[-_/])mtp[-_]|draft", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Repository:
    """A repository of a hub, and what it means where that refuses a file of it."""

    hub: str
    name: str
    files: Sequence[Remote]
    refused: str


def plan_hugging_face(specification: str, web: Web, places: Places) -> Plan:
    """Return how to get `owner/repo[@revision][/file or folder][:quantization]`.

    Raises:
        ModelError: That says no place at a hub.
        PullError: There is no such thing, several models would do, or who asks may not have it.
    """
    asked = _parse(specification, "hf")
    base, token = places.hugging_face, places.hugging_face_token
    repo, revision = asked.repo, asked.revision or "main"
    url: str | None = f"{base}/api/models/{repo}/tree/{quote(revision, safe='')}?recursive=true"
    files: list[Remote] = []
    refused = _refusal(base, repo, token, "pass a token of yours in HF_TOKEN or library.hf_token")
    with _explained(base, repo, refused):
        for _ in range(_MAX_PAGES):
            if url is None:
                break
            page = web.text(url, token=token)
            files += _hugging_face_files(
                page.json(), f"{base}/{repo}/resolve/{quote(revision, safe='')}", token
            )
            following = _NEXT.search(page.headers.get("Link", ""))
            url = f"{base}{_local(following[1])}" if following else None
    return _choose(_Repository("hf", repo, files, refused), asked)


def plan_model_scope(specification: str, web: Web, places: Places) -> Plan:
    """Return how to get `owner/repo[@revision][/file or folder][:quantization]`.

    Raises:
        ModelError, PullError: As `plan_hugging_face`.
    """
    asked = _parse(specification, "ms")
    base, token = places.model_scope, places.model_scope_token
    repo, revision = asked.repo, asked.revision or "master"
    address = f"{base}/api/v1/models/{repo}/repo"
    refused = _refusal(base, repo, token, "pass a token of yours in MODELSCOPE_API_TOKEN")
    with _explained(base, repo, refused):
        listing = web.text(
            f"{address}/files?{urlencode({'Revision': revision, 'Recursive': 'true'})}", token=token
        ).json()
    files = []
    for each in _entries(listing, "Data", "Files"):
        if each.get("Type") == "blob":
            name = safe_or_none(str(each.get("Path")))
            query = urlencode({"Revision": revision, "FilePath": str(each.get("Path"))})
            if name is not None:
                size, digest = size_or_none(each.get("Size")), digest_or_none(each.get("Sha256"))
                files.append(Remote(f"{address}?{query}", name, size, digest, token))
    return _choose(_Repository("ms", repo, files, refused), asked)


def _local(url: str) -> str:
    """Return an URL's path and query: a mirror may pass on its origin's addresses."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for: a file or folder of a repository, or the file of a quantization."""

    repo: str
    revision: str | None
    path: str | None
    tag: str | None


def _parse(specification: str, hub: str) -> _Asked:
    found = _SPECIFICATION.fullmatch(specification)
    if found is None:
        raise ModelError(
            f"{hub}:{specification} is no {hub}:OWNER/REPO/FILE (or /FOLDER, or :Q4_K_M for a quantization)"
        )
    return _Asked(**found.groupdict())


@contextmanager
def _explained(base: str, repo: str, refused: str) -> Iterator[None]:
    try:
        yield
    except RefusedError:
        raise PullError(refused) from None
    except MissingError:
        raise PullError(f"there is no {repo}, or no such revision of it, at {base}") from None


def _refusal(base: str, repo: str, token: str | None, how: str) -> str:
    """Return what a refusal means. A hub does not tell a repository that is missing from a private one."""
    if token is not None:
        how = "the token that was passed does not allow it"
    return (
        f"{repo} is not to be had at {base}: there is no such repository, or it is private or gated: accept "
        f"its terms on {base}/{repo}, and {how}"
    )


def _hugging_face_files(page: Any, base: str, token: str | None) -> Iterator[Remote]:
    for each in _entries(page):
        name = safe_or_none(str(each.get("path")))
        if each.get("type") == "file" and name is not None:
            large = each.get("lfs")
            digest = digest_or_none(large.get("oid")) if isinstance(large, dict) else None
            oid = str(each.get("oid"))
            yield Remote(
                f"{base}/{quote(name)}",
                name,
                size_or_none(each.get("size")),
                digest,
                token,
                git_oid=oid if digest is None and re.fullmatch(r"[0-9a-f]{40}", oid) else None,
            )


def _choose(repository: _Repository, asked: _Asked) -> Plan:
    """Return what of a repository was meant."""
    path, tag = asked.path, asked.tag
    revision = f"@{asked.revision}" if asked.revision else ""
    prefix = f"{repository.hub}:{repository.name}{revision}"
    by_name = {file.name: file for file in repository.files}
    if path in by_name and path.endswith(".gguf"):
        return _gguf(prefix, by_name, path, repository.refused)
    inside = [name for name in by_name if path is None or name.startswith(f"{path}/")]
    configured = f"{path}/{CONFIG}" if path else CONFIG
    if configured in by_name:
        return _folder(prefix, by_name, path, inside, repository.refused)
    models = [
        name
        for name in inside
        if name.endswith(".gguf")
        and not is_later_part(Path(name))
        and not _ASIDE.search(name)
        and (tag is None or _is_of(name, tag))
    ]
    if len(models) == 1:
        return _gguf(prefix, by_name, models[0], repository.refused)
    folders = [str(PurePosixPath(name).parent) for name in inside if PurePosixPath(name).name == CONFIG]
    raise PullError(_which(prefix, path, tag, by_name, models or ([] if tag else folders)))


def _which(
    prefix: str, path: str | None, tag: str | None, by_name: dict[str, Remote], models: list[str]
) -> str:
    wanted = f"{prefix}{f'/{path}' if path else ''}{f':{tag}' if tag else ''}"
    if not models:
        there = sorted({name.partition("/")[0] for name in by_name})
        return (
            f"there is no GGUF file and no folder with {CONFIG} at {wanted}; the repository has: "
            f"{', '.join(there[:_TOLD]) or 'nothing'}"
        )
    lines = []
    for name in models[:_TOLD]:
        size = by_name[name].size if name in by_name else None
        lines.append(f"{prefix}/{name}{'' if size is None else f' ({size / 1e6:,.0f} MB)'}")
    more = f", and {len(models) - _TOLD} others" if len(models) > _TOLD else ""
    return f"{wanted} has several models; name one: {', '.join(lines)}{more}"


def _is_of(name: str, tag: str) -> bool:
    title = title_of(PurePosixPath(name).name).casefold()
    return re.search(rf"(?:^|[-_.]){re.escape(tag.casefold())}$", title) is not None


def _gguf(prefix: str, by_name: dict[str, Remote], path: str, refused: str) -> Plan:
    if is_later_part(Path(path)):
        raise PullError(f"{prefix}/{path} is a part of a model; name the first of them, -00001-of-…")
    names = [str(part) for part in parts_of(Path(path))]
    missing = [name for name in names if name not in by_name]
    if missing:
        raise PullError(f"{prefix}/{path} is a model in parts, and {', '.join(missing)} is not there")
    files = tuple(_renamed(by_name[name], PurePosixPath(name).name) for name in names)
    name = files[0].name
    return Plan(f"{prefix}/{path}", files, lambda folder: folder / name, refused=refused, name=name)


def _folder(
    prefix: str, by_name: dict[str, Remote], path: str | None, inside: list[str], refused: str
) -> Plan:
    """Return the plan for a folder of ONNX Runtime GenAI. It is called after repository and folder."""
    title = prefix.rpartition("/")[2].partition("@")[0]
    if path:
        title = f"{title}-{PurePosixPath(path).name}"
    start = 0 if path is None else len(path) + 1
    # Documents, and other models in folders of their own, stay where they are.
    names = [name for name in inside if "/" not in name[start:] and not name.endswith(".md")]
    files = tuple(_renamed(by_name[name], f"{title}/{name[start:]}") for name in names)
    source = f"{prefix}/{path}" if path else prefix
    return Plan(source, files, lambda folder: folder / title, refused=refused, name=title)


def _renamed(file: Remote, name: str) -> Remote:
    return replace(file, name=name)


def _entries(document: Any, *keys: str) -> list[dict[str, Any]]:
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    if not isinstance(document, list):
        raise PullError("the list of files is not as expected: is that the address of such a hub?")
    return [each for each in document if isinstance(each, dict)]


def safe_or_none(name: str) -> str | None:
    """Return a name that a file may have here; None for `.gitattributes` and what leads elsewhere."""
    try:
        return safe_name(name)
    except PullError:
        return None
