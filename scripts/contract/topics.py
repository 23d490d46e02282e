"""The channels: every topic as the code builds it, what goes over it, in which direction and how."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgeassist.gateways.homeassistant.topics import answer_topic, discovery_topic, marker_topic, object_id
from edgeassist.protocol.commands import COMMANDS
from edgeassist.protocol.topics import FleetTopics, Topics, fleet_topics
from scripts.contract.words import camel_case

DEVICE = Topics("{base}", "{device}")
FLEET: FleetTopics = fleet_topics("{base}", "{group}")

PARAMETERS = {
    "base": ("The first levels, shared by all devices: the setting `mqtt.base`.", ["edgeassist"]),
    "device": ("The device's name: the setting `device.name`.", ["kitchen-pi"]),
    "group": ("The fleet's name: the setting `fleet.group`.", ["home"]),
    "client": (
        "The client's name, of 1 to 128 bytes; the broker's access control list can hold each to its own.",
        ["esp32"],
    ),
    "request": ("The request's id.", ["1"]),
    "watch": ("The watch's name.", ["laundry"]),
    "prefix": ("The setting `homeassistant.prefix`.", ["homeassistant"]),
    "object": ("The device's name in Home Assistant, made of base and device.", ["edgeassist__kitchen-pi"]),
}

EVENTS = ["accepted", "progress", "reasoning", "chunk", "toolCall", "done", "error"]
SHORT = ["acceptedShort", "doneShort", "errorShort"]
_OWN = "Gives the command `cancel`, for what this client has asked on a topic of its own."


@dataclass(frozen=True)
class Channel:
    """One topic.

    Attributes:
        name: In the document.
        address: The topic; None where a message names it.
        tag: What it belongs to.
        about: For the reader.
        messages: Which may come.
        receives: Whether the device receives them; else it sends them.
        qos: At which it subscribes or publishes.
        retain: Whether they stand retained.
        answers: On which channel they are answered, by default.
        elsewhere: On which, where the message names a topic; None: it can't.
    """

    name: str
    address: str | None
    tag: str
    about: str
    messages: list[str]
    receives: bool = False
    qos: int = 1
    retain: bool = False
    answers: str | None = None
    elsewhere: str | None = None

    @property
    def parameters(self) -> list[str]:
        """The names in the address."""
        return [name for name in PARAMETERS if f"{{{name}}}" in (self.address or "")]


TAGS = {
    "requests": "What a device is asked.",
    "replies": "What it answers.",
    "commands": "What it is told to do, and what became of it.",
    "state": "What it says of itself.",
    "Home Assistant": "What Home Assistant is told.",
    "fleet": "Many devices that answer as one: on these topics, all that holds for a device.",
    "between boxes": "What boxes of a fleet tell each other. Not for clients, and it may change.",
}


def channels() -> list[Channel]:
    """Return all of them."""
    fleet = [each for each in _asked(FLEET, "fleet") if each.address is not None]
    return [
        *_asked(DEVICE, ""),
        *_commands(),
        _elsewhere("response", "commands", [*_outcomes(list(COMMANDS)), "fleetPingOutcome"]),
        *_states(),
        *_home_assistant(),
        *fleet,
        *_fleet_commands(),
        *_between(),
    ]


def _asked(topics: Topics, of: str) -> Iterator[Channel]:
    tag = of or "requests"
    whose = "the fleet" if of else "the device"
    for kind, payloads, told in (
        ("prompt", ["prompt", "promptText"], f"What {whose} is to answer."),
        ("decide", ["decision"], f"Questions about a state, which {whose} answers with probabilities."),
    ):
        address = topics.prompt if kind == "prompt" else topics.decide
        yield Channel(
            _called(of, kind), address(), tag, f"{told} Anybody may ask here; retained ones are ignored.",
            payloads, receives=True, answers=_called(of, "reply"), elsewhere="replyElsewhere",
        )  # fmt: skip
        yield Channel(
            _called(of, f"{kind}OfClient"), address("{client}"), tag, f"{told} One client asks here.",
            payloads, receives=True, answers=_called(of, "replyToClient"), elsewhere="replyElsewhere",
        )  # fmt: skip
    tag = of or "replies"
    said = [*EVENTS, *SHORT, "text"]
    for name, client, where in (
        ("reply", None, "Where answers go that nothing says otherwise of."),
        ("replyToClient", "{client}", "The same, of what one client has asked on a topic of its own."),
    ):
        place = topics.reply("{request}", client)
        yield Channel(_called(of, name), place, tag, where, said)
        ends = "With `format` `text`: how the answer ended."
        yield Channel(
            _called(of, f"{name}End"), f"{place}/end", tag, ends, ["done", "error", "doneShort", "errorShort"]
        )
    yield _elsewhere("reply", tag, said)


def _elsewhere(name: str, tag: str, messages: list[str]) -> Channel:
    about = (
        "The topic that the request names, by MQTT 5's Response Topic or, of requests, by `reply_to`. It "
        "begins with one of the setting `mqtt.reply_prefixes`, by default `<base>/<device>/reply/` and "
        "`reply/`."
    )
    return Channel(f"{name}Elsewhere", None, tag, about, messages)


def _commands() -> Iterator[Channel]:
    for name in COMMANDS:
        payloads = [f"{camel_case(name)}Command", *_bare(name)]
        yield Channel(
            f"{camel_case(name)}Command", DEVICE.command(name), "commands", f"Gives the command `{name}`.",
            payloads, receives=True, qos=0,
            answers=f"{camel_case(name)}Response", elsewhere="responseElsewhere",
        )  # fmt: skip
        about = f"What became of the command `{name}`."
        yield Channel(
            f"{camel_case(name)}Response", DEVICE.response(name), "commands", about, _outcomes([name])
        )
    yield Channel(
        "cancelCommandOfClient", DEVICE.cancel("{client}"), "commands", _OWN,
        ["cancelCommand", *_bare("cancel")], receives=True, qos=0,
        answers="cancelResponseToClient", elsewhere="responseElsewhere",
    )  # fmt: skip
    yield Channel(
        "cancelResponseToClient", DEVICE.response("cancel", "{client}"), "commands", "What became of it.",
        _outcomes(["cancel"]),
    )  # fmt: skip


def _fleet_commands() -> Iterator[Channel]:
    """Yield what all boxes of a fleet hear; only who has something to say answers."""
    for name, client, about, outcome in (
        ("cancelCommand", None, "Gives the command `cancel` to all boxes.", "cancelOutcome"),
        ("cancelCommandOfClient", "{client}", _OWN, "cancelOutcome"),
        ("pingCommand", None, "Asks whether anybody is there.", "fleetPingOutcome"),
    ):
        command = name.removesuffix("OfClient").removesuffix("Command")
        answers = f"fleet{command.capitalize()}Response{'ToClient' if client else ''}"
        yield Channel(
            _called("fleet", name), FLEET.cancel(client) if command == "cancel" else FLEET.command(command),
            "fleet", about, [f"{command}Command", *_bare(command)], receives=True, qos=0, answers=answers,
            elsewhere="responseElsewhere",
        )  # fmt: skip
        yield Channel(answers, FLEET.response(command, client), "fleet", "What became of it.", [outcome])


def _states() -> Iterator[Channel]:
    told = {
        "status": (DEVICE.status, "Whether the device is there; also the will.", ["status"]),
        "health": (DEVICE.health, "How the device is.", ["health", "healthCut"]),
        "telemetry": (DEVICE.telemetry, "What it has done.", ["telemetry", "telemetryCut"]),
        "info": (DEVICE.info, "What it is.", ["info", "infoCut"]),
        "instance": (DEVICE.instance, "Which daemon is this device.", ["instance"]),
        "watch": (DEVICE.watch("{watch}"), "What is known from a watch.", ["watch"]),
    }
    for name, (address, about, messages) in told.items():
        yield Channel(name, address, "state", about, [*messages, "cleared"], retain=True)


def _home_assistant() -> Iterator[Channel]:
    tag = "Home Assistant"
    place = discovery_topic(Topics("base", "device"), "{prefix}")
    place = place.replace(object_id(Topics("base", "device")), "{object}")
    yield Channel(
        "discoveryMarker", marker_topic(DEVICE), tag,
        "The topic on which the discovery message stands, while it does.",
        ["discoveryMarker", "cleared"], retain=True,
    )  # fmt: skip
    yield Channel(
        "discovery", place, tag, "What Home Assistant discovers, in its own form.",
        ["discovery", "cleared"], retain=True,
    )  # fmt: skip
    yield Channel(
        "answered", answer_topic(DEVICE), tag,
        "How a prompt of the client `homeassistant` ended, beside its reply, where discovery is on.",
        ["answered"],
    )  # fmt: skip


def _between() -> Iterator[Channel]:
    tag, own = "between boxes", "{device}"
    yield Channel(
        "box", FLEET.box(own), tag, "How a box is; also the will of its connection for the fleet. A client "
        "may read it.", ["box", "cleared"], retain=True,
    )  # fmt: skip
    for name, address, about, qos in (
        ("hand", FLEET.hand(own), "A box is handed a request, a line of JSON and the client's payload.", 1),
        ("room", FLEET.room(own), "A box is told that another one has room.", 0),
        ("has", FLEET.has(own), "A box tells which requests it has.", 0),
        ("check", FLEET.check(own), "A box sees whether the broker has shared subscriptions.", 1),
    ):
        yield Channel(name, address, tag, about, ["internal"], qos=qos)


def _bare(name: str) -> list[str]:
    form = COMMANDS[name]
    empty = [] if any(field.is_required() for field in form.kind.model_fields.values()) else ["empty"]
    if name == "cancel":  # it needs one of two that may be left out
        empty = []
    return [*([] if form.bare is None else [f"{camel_case(name)}Text"]), *empty]


def _outcomes(names: list[str]) -> list[str]:
    progress = ["modelProgress"] if "model" in names else []
    return [*(f"{camel_case(name)}Outcome" for name in names), *progress, "commandFailed"]


def _called(of: str, name: str) -> str:
    return f"{of}{name[0].upper()}{name[1:]}" if of else name
