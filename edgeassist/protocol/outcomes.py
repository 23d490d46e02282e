"""What the answer to a command holds where all went well, by the command. What has no value is left out."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, JsonValue

from edgeassist.protocol.findings import Examination
from edgeassist.protocol.fleet import BoxCondition
from edgeassist.protocol.listing import RequestList
from edgeassist.protocol.state import Info, State


class Outcome(BaseModel):
    """Base of them."""

    model_config = ConfigDict(frozen=True)


class Cancelled(Outcome):
    """What `cancel` has ended.

    Attributes:
        cancelled: How many requests.
    """

    cancelled: int


class Pong(Outcome):
    """What `ping` tells.

    Attributes:
        state: As in `health`.
        uptime_s: Since the daemon's start, in seconds.
    """

    state: State
    uptime_s: int


class FleetPong(Outcome):
    """What `ping` tells to who asks a fleet, of each box that takes requests.

    Attributes:
        state: Always `online`.
    """

    state: BoxCondition


class Logged(Outcome):
    """What `log_level` has set.

    Attributes:
        level: The least severe messages that are logged, until the next start or reload.
    """

    level: str


class Reloaded(Outcome):
    """What `reload` has found.

    Attributes:
        applied: Keys that have changed and are in force, such as `sampling.top_k`.
        restart_needed: Keys that have changed and wait for the daemon's next start.
    """

    applied: list[str]
    restart_needed: list[str]


class ListedModel(Outcome):
    """A model that is here.

    Attributes:
        name: By which it is used.
        backend: What runs it.
        size_bytes: Of its files.
        sha256: Of its file.
        source: Where it was got from.
    """

    name: str
    backend: str
    size_bytes: int | None = None
    sha256: str | None = None
    source: str | None = None


class PullUnderWay(Outcome):
    """A model that is being pulled, and what was said of it last.

    Attributes:
        model: Where from.
        step: What is done.
        done_bytes: How much is here.
        total_bytes: Of how much, where somebody said.
        bytes_per_s: How fast, once it is known.
    """

    model: str
    step: str | None = None
    done_bytes: int | None = None
    total_bytes: int | None = None
    bytes_per_s: float | None = None


class Models(Outcome):
    """What models there are.

    Attributes:
        in_use: What is served.
        default: What the settings name.
        switching_to: What is being switched to; null at other times.
        pulling: What is being pulled; null at other times.
        models: Those that are here.
    """

    in_use: str
    default: str
    switching_to: str | None
    pulling: PullUnderWay | None
    models: list[ListedModel]


class ModelUsed(Outcome):
    """What came of `use`.

    Attributes:
        model: What answers now.
        switched: Whether it was another before.
        beside: Whether both were loaded for a moment.
        took_ms: How long it took.
        warning: What is wrong although it is served.
    """

    model: str
    switched: bool
    beside: bool | None = None
    took_ms: int | None = None
    warning: str | None = None


class PullCancelled(Outcome):
    """What `cancel` of a pull has ended.

    Attributes:
        cancelled: What was being pulled.
    """

    cancelled: str


class ModelStep(Outcome):
    """How far a `use` or a `pull` is.

    Attributes:
        step: `draining`, `loading`, or what a pull does.
        running: Of `draining`: how many answers.
        fraction: Of `loading`: how much is done, 0 to 1.
        done_bytes: Of a pull.
        total_bytes: Of a pull, where somebody said.
        bytes_per_s: Of a pull, once it is known.
    """

    step: str
    running: int | None = None
    fraction: float | None = None
    done_bytes: int | None = None
    total_bytes: int | None = None
    bytes_per_s: float | None = None


class Drained(Outcome):
    """What `drain` has done.

    Attributes:
        drain: As asked.
        state: Whether the box takes requests of its fleet.
        running: How many run.
        waiting: How many wait.
    """

    drain: bool
    state: BoxCondition
    running: int
    waiting: int


class SettingsSchema(Outcome):
    """What can be set.

    Attributes:
        version: Of the daemon.
        settings: The JSON Schema (2020-12) of all settings, or of one table.
    """

    version: str
    settings: dict[str, JsonValue]


OUTCOMES: Mapping[str, tuple[type[BaseModel], ...]] = {
    "cancel": (Cancelled,),
    "ping": (Pong,),
    "info": (Info,),
    "log_level": (Logged,),
    "reload": (Reloaded,),
    "model": (Models, ModelUsed, ListedModel, PullCancelled),
    "drain": (Drained,),
    "requests": (RequestList,),
    "doctor": (Examination,),
    "schema": (SettingsSchema,),
}
"""By the command's name; one of some."""
PROGRESS: Mapping[str, type[BaseModel]] = {"model": ModelStep}
"""What is said before the answer, of a long one."""
