"""Why a constraint is not taken."""

from __future__ import annotations

_LONGEST_PLACE = 200
_LONGEST_NAME = 60


class Refusal(Exception):  # noqa: N818 - what it is
    """A constraint asks for what isn't enforced.

    Args:
        reason: What, on one line, without the place.
        place: The keys and positions that lead to it in the document.
    """

    def __init__(self, reason: str, place: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = place


def pointer(place: tuple[str, ...]) -> str:
    """Return a place as a JSON pointer in a URI's fragment, on one line and not too long for a message."""
    steps = (step.replace("~", "~0").replace("/", "~1") for step in place)
    text = "".join(f"/{step}" for step in steps)
    shown = "".join(each if each.isprintable() else "?" for each in text)
    return "#" + (shown if len(shown) <= _LONGEST_PLACE else f"{shown[:_LONGEST_PLACE]}…")


def shown(text: str) -> str:
    """Return a client's word as a message shows it."""
    return "".join(each if each.isprintable() else "?" for each in text[:_LONGEST_NAME])
