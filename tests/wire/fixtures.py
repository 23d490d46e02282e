"""The form of a fixture: what is in a file of `v1/`, and how it is written. README.md explains it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

FOLDER = Path(__file__).parent / "v1"
LINE_WIDTH = 110

JsonObject = dict[str, JsonValue]
Hex = Annotated[str, Field(pattern=r"^([0-9a-f]{2})*$")]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sent(_Form):
    """What a client publishes; `fill` letters x take the place of the `<fill>` in its payload.

    `<call id 0>` in an object stands for the id of the last answer's first call.
    """

    topic: str
    payload: JsonObject | str = ""
    payload_hex: Hex | None = None
    fill: int | None = None
    qos: Literal[0, 1] = 1
    retain: bool = False
    response_topic: str | None = None
    correlation: Hex | None = None
    expiry_s: int | None = None

    def of_calls(self, ids: Sequence[str]) -> Self:
        """Return it with these ids of calls."""
        if not isinstance(self.payload, dict):
            return self
        text = compact(self.payload)
        for number, id_ in enumerate(ids):
            text = text.replace(f"<call id {number}>", id_)
        return self.model_copy(update={"payload": json.loads(text)})

    def data(self) -> bytes:
        """Return the payload as it goes over the wire."""
        if self.payload_hex is not None:
            return bytes.fromhex(self.payload_hex)
        text = self.payload if isinstance(self.payload, str) else compact(self.payload)
        return text.replace("<fill>", "x" * (self.fill or 0)).encode()


class Received(_Form):
    """What the daemon published: an object if the payload is exactly that as compact JSON, else its text."""

    topic: str
    payload: JsonObject | str
    qos: int
    retain: bool = False
    correlation: Hex | None = None
    properties: dict[str, str] = {}


class Step(_Form):
    """Something happens (in the order of the fields), and this is what is heard of it."""

    note: str = ""
    configure: JsonObject = {}
    signal: Literal["TERM", "KILL"] | None = None
    publish: tuple[Sent, ...] = ()
    start: bool = False
    messages: int | None = None
    last: JsonObject | None = None
    receive: tuple[Received, ...] = ()
    state: str | None = None
    when: JsonObject | str | None = None
    document: Received | None = None


class Fixture(_Form):
    """One session with one daemon."""

    about: str
    client: Literal["5", "3.1.1"] = "5"
    daemon: JsonObject = {}
    answers: dict[str, str] = {}
    broker: tuple[str, ...] = ()
    alone: bool = False
    before: tuple[Sent, ...] = ()
    steps: tuple[Step, ...]

    def text(self) -> str:
        """Return the fixture as its file has it."""
        return render(self.model_dump(exclude_defaults=True)) + "\n"


def paths() -> list[Path]:
    """Return all fixtures' files."""
    return sorted(FOLDER.glob("*.json"))


def load(path: Path) -> Fixture:
    """Read a fixture; a ValueError (pydantic's) where it has not the form."""
    return Fixture.model_validate_json(path.read_bytes())


def compact(document: JsonValue) -> str:
    """Return the document as the daemon writes JSON."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def render(value: JsonValue, indent: int = 0, before: int = 0) -> str:
    """Return indented JSON, with everything on one line that fits into it.

    Args:
        value: JSON.
        indent: Of the line that the value begins in.
        before: Characters that stand before it there.
    """
    line = _plain(value)
    if not value or not isinstance(value, dict | list | tuple) or before + len(line) + 1 <= LINE_WIDTH:
        return line
    inner = indent + 2
    if isinstance(value, dict):
        keys = [f"{_plain(key)}: " for key in value]
        values = zip(keys, value.values(), strict=True)
        parts = [key + render(each, inner, inner + len(key)) for key, each in values]
        opening, closing = "{", "}"
    else:
        parts = [render(each, inner, inner) for each in value]
        opening, closing = "[", "]"
    space = " " * inner
    return f"{opening}\n{space}" + f",\n{space}".join(parts) + f"\n{' ' * indent}{closing}"


def _plain(value: JsonValue) -> str:
    """Return JSON on one line, without characters that nobody sees, such as a byte order mark."""
    line = json.dumps(value, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in line)
