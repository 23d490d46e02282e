"""A GGUF file at any web server."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urldefrag, urljoin, urlsplit

from edgeassist.errors import ModelError
from edgeassist.models.files.gguf_parts import is_later_part, parts_of
from edgeassist.models.pulling.plan import Plan, Remote, safe_name
from edgeassist.models.pulling.web import without_password


def plan_url(url: str) -> Plan:
    """Return how to get a file, and the parts beside it; `#sha256=…` behind a URL is its checksum.

    Raises:
        ModelError: It is no URL of a GGUF file.
    """
    plain = without_password(url)[0]
    if urlsplit(plain).scheme not in {"http", "https"}:
        raise ModelError(f"{plain} is no address of a web server (https://…)")
    shown = plain.partition("#")[0]
    address, fragment = urldefrag(url)
    name = unquote(PurePosixPath(urlsplit(address).path).name)
    if not name.endswith(".gguf") or is_later_part(Path(name)):
        raise ModelError(
            f"{shown} does not end with the name of a .gguf file (of a model in parts, "
            "of the first); a folder of ONNX Runtime GenAI is pulled from hf:OWNER/REPO/FOLDER, or copied by "
            "hand"
        )
    digest = fragment.removeprefix("sha256=").lower() if fragment else None
    if digest is not None and not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ModelError(f"#{fragment} is no checksum: it is #sha256= and 64 hexadecimal digits")
    names = [part.name for part in parts_of(Path(safe_name(name)))]
    if digest is not None and len(names) > 1:
        raise ModelError("a model in parts has a checksum for each; leave #sha256=… out")
    query = urlsplit(address).query
    files = tuple(
        Remote(urljoin(address, quote(part)) + (f"?{query}" if query else ""), part, sha256=digest)
        for part in names
    )
    # The record has no password of a server.
    return Plan(shown, files, lambda folder: folder / names[0], name=names[0])
