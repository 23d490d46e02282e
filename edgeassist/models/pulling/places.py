"""Where models are published: the servers, or their mirrors, and who asks there."""

from __future__ import annotations

import configparser
import os
import sys
from dataclasses import dataclass
from pathlib import Path

HUGGING_FACE = "https://huggingface.co"
MODEL_SCOPE = "https://www.modelscope.cn"
PYPI = "https://pypi.org/simple"
# What pip reads, the last that says something wins.
_PIP_FILES = ("/etc/xdg/pip/pip.conf", "/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")
_PIP_SECTIONS = ("global", "install", "download")


@dataclass(frozen=True, slots=True)
class Places:
    """Addresses of servers, without a slash at the end.

    Attributes:
        hugging_face: Hugging Face, or a mirror of its API.
        hugging_face_token: For gated and private repositories.
        model_scope: ModelScope.
        model_scope_token: For private repositories there.
        pypi: An index of Python packages; may have user and password.
    """

    hugging_face: str = HUGGING_FACE
    hugging_face_token: str | None = None
    model_scope: str = MODEL_SCOPE
    model_scope_token: str | None = None
    pypi: str = PYPI


def places(
    hugging_face: str | None = None,
    hugging_face_token: str | None = None,
    model_scope: str | None = None,
    pypi: str | None = None,
) -> Places:
    """Return the places as set, else as the environment and the tools' own settings have them.

    `HF_ENDPOINT`, `HF_TOKEN` (or the file that `hf auth login` writes), `MODELSCOPE_ENDPOINT`,
    `MODELSCOPE_API_TOKEN`, `PIP_INDEX_URL` and pip's files are those of these places' own tools.
    """
    given = os.environ.get
    return Places(
        hugging_face=(hugging_face or given("HF_ENDPOINT") or HUGGING_FACE).rstrip("/"),
        hugging_face_token=hugging_face_token or given("HF_TOKEN") or _token_of_file(),
        model_scope=(model_scope or given("MODELSCOPE_ENDPOINT") or MODEL_SCOPE).rstrip("/"),
        model_scope_token=given("MODELSCOPE_API_TOKEN"),
        pypi=(pypi or given("PIP_INDEX_URL") or _index_of_pip() or PYPI).rstrip("/"),
    )


def _token_of_file() -> str | None:
    home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    path = Path(os.environ.get("HF_TOKEN_PATH") or f"{home}/token")
    try:
        return path.expanduser().read_text().strip() or None
    except (OSError, ValueError, RuntimeError):
        return None


def _index_of_pip() -> str | None:
    found = None
    for name in (*_PIP_FILES, f"{sys.prefix}/pip.conf", os.environ.get("PIP_CONFIG_FILE", os.devnull)):
        parser = configparser.RawConfigParser()
        try:
            parser.read(Path(name).expanduser(), encoding="utf-8")
        except (configparser.Error, ValueError, RuntimeError, OSError):
            continue
        for section in _PIP_SECTIONS:
            found = parser.get(section, "index-url", fallback=found)
    return found
