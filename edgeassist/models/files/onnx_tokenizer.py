"""What the files beside an ONNX model say of its tokenizer: templates, control tokens, ends of an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeassist.errors import ModelError
from edgeassist.models.files.control import Control, control_of, ends_among
from edgeassist.models.files.description import FOR_TOOLS

TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
GENERATION_CONFIG = "generation_config.json"
TEMPLATE = "chat_template.jinja"
MORE_TEMPLATES = "additional_chat_templates"
_ROLES = ("bos_token", "eos_token", "sep_token", "pad_token", "unk_token", "cls_token")
# Where the configuration does not tell how many tokens the model knows.
_MOST_ROWS = 1 << 32


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """What they say.

    Attributes:
        template: The chat template; None without one.
        template_for_tools: Another for conversations with tools.
        special_tokens: The texts of special tokens by their names in templates, such as `bos_token`.
        ends: The ids of tokens that end an answer, as any of the files says.
        control: The control tokens.
    """

    template: str | None
    template_for_tools: str | None
    special_tokens: Mapping[str, str | list[str]]
    ends: frozenset[int]
    control: Control


def read_tokenizer(path: Path, model: Mapping[str, Any], template: str | None) -> TokenizerFiles:
    """Read a folder's tokenizer files.

    Args:
        path: The folder.
        model: The table `model` of the library's configuration.
        template: A chat template in the place of its own.

    Raises:
        ModelError: One is missing, or no JSON.
        OSError: One can't be read.
    """
    tokenizer = _tokenizer(path)
    added = _added(path, tokenizer)
    templates = _templates(path, tokenizer)
    for_tools = templates.get(FOR_TOOLS)
    template = template or templates.get("default") or for_tools
    return TokenizerFiles(
        template,
        for_tools,
        _special_tokens(tokenizer),
        _ends(path, model, added),
        _control(tokenizer, added, template, rows=int(model.get("vocab_size", _MOST_ROWS))),
    )


@dataclass(frozen=True, slots=True)
class _Added:
    """A token beside the ordinary vocabulary; `special`: its file calls it a control token."""

    text: str
    special: bool


def read_json(path: Path) -> Any:
    """Return a file's JSON; raises a `ModelError` if it is none."""
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is no JSON ({error}): get the model's files again") from None


def _tokenizer(path: Path) -> dict[str, Any]:
    for name in (TOKENIZER_CONFIG, TOKENIZER):
        if not (path / name).is_file():
            raise ModelError(
                f"{path / name} is missing: put the model's tokenizer beside it, as its publisher has it for "
                "transformers"
            )
    return dict(read_json(path / TOKENIZER_CONFIG))


def _added(path: Path, tokenizer: dict[str, Any]) -> dict[int, _Added]:
    """Return the tokens beside the ordinary vocabulary by their ids, wherever the model declares them."""
    found = {int(number): each for number, each in (tokenizer.get("added_tokens_decoder") or {}).items()}
    for each in read_json(path / TOKENIZER).get("added_tokens") or []:
        found[int(each["id"])] = each
    return {number: _Added(str(each["content"]), bool(each.get("special"))) for number, each in found.items()}


def _control(
    tokenizer: dict[str, Any], added: Mapping[int, _Added], template: str | None, rows: int
) -> Control:
    """Return the control tokens, among them those that the model has no row for: as text they are others."""
    others = tokenizer.get("additional_special_tokens") or []
    hidden = {number for number, each in added.items() if each.special or number >= rows}
    return control_of(
        flagged=[added[number].text for number in sorted(hidden)],
        added=[each.text for number, each in added.items() if number not in hidden],
        roles=[_token_text(each) for each in (*(tokenizer.get(name) for name in _ROLES), *others)],
        template=template,
    )


def _templates(path: Path, tokenizer: dict[str, Any]) -> dict[str, str]:
    """Return the chat templates by their names."""
    stated = tokenizer.get("chat_template")
    if isinstance(stated, list):
        found = {str(each.get("name")): str(each["template"]) for each in stated}
    else:
        found = {"default": str(stated)} if stated else {}
    found |= {file.stem: file.read_text() for file in (path / MORE_TEMPLATES).glob("*.jinja")}
    if (path / TEMPLATE).is_file():
        found["default"] = (path / TEMPLATE).read_text()
    return found


def _special_tokens(tokenizer: dict[str, Any]) -> dict[str, str | list[str]]:
    texts: dict[str, str | list[str]] = {
        key: _token_text(token) for key, token in tokenizer.items() if key.endswith("_token") and token
    }
    # Newer files call them `extra_special_tokens`, and give some of them names.
    for key in ("additional_special_tokens", "extra_special_tokens"):
        more = tokenizer.get(key)
        if isinstance(more, dict):
            texts |= {str(name): _token_text(token) for name, token in more.items()}
        elif more:
            texts["additional_special_tokens"] = [_token_text(token) for token in more]
    return texts


def _ends(path: Path, model: Mapping[str, Any], added: Mapping[int, _Added]) -> frozenset[int]:
    """Return what the library's configuration and the publisher's call the end of an answer, or is one."""
    generation = read_json(path / GENERATION_CONFIG) if (path / GENERATION_CONFIG).is_file() else {}
    ends: set[int] = set()
    for config in (model, generation):
        stated = config.get("eos_token_id")
        ends.update([int(each) for each in stated] if isinstance(stated, list) else [])
        ends.update([stated] if isinstance(stated, int) else [])
    known = ends_among(each.text for each in added.values())
    return frozenset(ends).union(number for number, each in added.items() if each.text in known)


def _token_text(token: Any) -> str:
    return str(token.get("content", "")) if isinstance(token, dict) else str(token or "")
