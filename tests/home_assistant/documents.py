"""The YAML of our documents, taken out of them as a user would copy it."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = DOCS.parent / "examples" / "home-assistant"
# Since 2026.6; who has an older one is told to leave it out.
_EXPIRY = re.compile(
    r"^ *(?:# Waits no longer.*\n *)?message_expiry_interval:\n *seconds: \d+\n", re.MULTILINE
)


def blocks(document: Path) -> list[str]:
    """Return what stands in the YAML blocks of a document, of a box that is called `box`."""
    text = document.read_text().replace("kitchen-pi", "box").replace("kitchen_pi", "box")
    text = text.replace("edgeassist/pi/", "edgeassist/box/").replace("edgeassist_pi_", "edgeassist_box_")
    return re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)


def all_blocks() -> list[str]:
    """Return all YAML that is meant for Home Assistant."""
    documents = [*sorted(DOCS.glob("*.md")), EXAMPLE / "README.md"]
    return [block for document in documents for block in blocks(document)]


def automations(blocks_: list[str]) -> str:
    """Return automations.yaml with the automations among these."""
    return "".join(_item(block) for block in blocks_ if block.startswith("alias:"))


def scripts(blocks_: list[str]) -> str:
    """Return scripts.yaml with the scripts among these."""
    return "".join(block for block in blocks_ if block.startswith("# scripts.yaml\n"))


def card(blocks_: list[str]) -> str:
    """Return the content of the one Markdown card."""
    (found,) = [block for block in blocks_ if block.startswith("type: markdown\n")]
    match = re.search(r'^content: "(.*)"$', found, re.MULTILINE)
    assert match is not None
    return match[1]


def of_older(block: str) -> str:
    """Return YAML for a Home Assistant before 2026.6, as the document says."""
    return _EXPIRY.sub("", block)


def _item(automation: str) -> str:
    return "- " + textwrap.indent(automation, "  ").lstrip()
