"""Names in the integration's manifest the repository that it is published in, before it is.

    python -m scripts.integration https://HOST/OWNER/NAME [@OWNER …]

hassfest and HACS want `documentation`, `issue_tracker` and `codeowners`. Only who publishes knows them: until
then they are not there, rather than addresses of nothing. Exits with 2 where the address can't be one.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MANIFEST = Path(__file__).parents[1] / "custom_components/edgeassist/manifest.json"
PAGE = "blob/main/docs/home-assistant.md"
# hassfest's order: these, then the others by the alphabet.
_FIRST = ("domain", "name")
_PATH = re.compile(r"/(?P<owner>[\w.-]+)/(?P<name>[\w.-]+?)(?:\.git)?")
_OWNER = re.compile(r"@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:/[A-Za-z0-9._-]+)?")


def named(manifest: dict[str, Any], repository: str, owners: Sequence[str] = ()) -> dict[str, Any]:
    """Return a manifest that names its repository.

    Args:
        manifest: As it is.
        repository: `https://HOST/OWNER/NAME`.
        owners: `@OWNER`, or `@ORGANISATION/TEAM`; none: the repository's.

    Raises:
        ValueError: Such a repository or owner can't be; the text says why.
    """
    parts = urlsplit(repository.removesuffix("/"))
    path = _PATH.fullmatch(parts.path)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError(f"{repository}: it must be an https address of nothing but a repository")
    if parts.hostname.endswith("home-assistant.io"):
        raise ValueError(f"{repository}: hassfest refuses Home Assistant's own site for what is not core")
    if path is None:
        raise ValueError(f"{repository}: it must be https://HOST/OWNER/NAME")
    owners = owners or [f"@{path['owner']}"]
    if wrong := [owner for owner in owners if not _OWNER.fullmatch(owner)]:
        raise ValueError(f"{wrong[0]}: an owner is @OWNER or @ORGANISATION/TEAM")
    base = f"https://{parts.netloc}/{path['owner']}/{path['name']}"
    told = {
        **manifest,
        "codeowners": list(owners),
        "documentation": f"{base}/{PAGE}",
        "issue_tracker": f"{base}/issues",
    }
    return {key: told[key] for key in (*_FIRST, *sorted(told.keys() - set(_FIRST)))}


def written(manifest: dict[str, Any]) -> str:
    """Return a manifest as it stands in its file: lists of texts on one line."""
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in manifest.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main(arguments: Sequence[str] | None = None, file: Path = MANIFEST) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.integration",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("repository")
    parser.add_argument("owners", nargs="*")
    options = parser.parse_args(arguments)
    try:
        told = named(json.loads(file.read_text()), options.repository, options.owners)
    except ValueError as error:
        parser.error(str(error))
    file.write_text(written(told))


if __name__ == "__main__":
    main()
