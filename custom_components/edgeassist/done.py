"""What Home Assistant's intents have done, in a sentence. Imports nothing of Home Assistant.

Home Assistant has sentences of its own for its intents (home-assistant-intents), and they are not used: they
have no names ("Turned off the light"), and which of them fits is known from the sentence that its own agent
has matched. A model may have misheard; so what is said must name what was switched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .amounts import duration, values
from .reaching import was_unreached
from .tiny.names import what_of

Language = Literal["en", "de", "zh"]


@dataclass(frozen=True, slots=True)
class Target:
    """What an intent was for: an entity, an area or a floor."""

    kind: str
    name: str
    id: str = ""

    @property
    def domain(self) -> str:
        """Of an entity; empty for others."""
        return self.id.partition(".")[0] if self.kind == "entity" else ""


@dataclass(frozen=True, slots=True)
class Act:
    """An intent that was carried out, for all that it was for.

    Attributes:
        intent: Its name.
        arguments: As Home Assistant got them.
        targets: What it was for.
        unreached: What it was for, too, and was not reached.
    """

    intent: str
    arguments: Mapping[str, Any]
    targets: Sequence[Target] = ()
    unreached: Sequence[Target] = ()


_OPENS = {"cover": "open", "valve": "open", "lock": "lock", "scene": "activate", "script": "run"}
_OPENS |= {"automation": "run", "button": "press", "input_button": "press"}
_CLOSES = {"cover": "close", "valve": "close", "lock": "unlock"}
# What is said of an intent; HassTurnOn and HassTurnOff go by the domain.
_SAID_AS = {
    "HassSetPosition": "set",
    "HassLightSet": "set",
    "HassClimateSetTemperature": "set",
    "HassFanSetSpeed": "set",
    "HassSetVolume": "set_volume",
    "HassSetVolumeRelative": "volume",
    "HassHumidifierSetpoint": "set",
    "HassStopMoving": "stop",
    "HassMediaPause": "pause",
    "HassMediaUnpause": "resume",
    "HassMediaNext": "next",
    "HassMediaPrevious": "previous",
    "HassMediaPlayerMute": "mute",
    "HassMediaPlayerUnmute": "unmute",
    "HassVacuumStart": "start",
    "HassVacuumReturnToBase": "return",
    "HassLawnMowerStartMowing": "start",
    "HassLawnMowerDock": "return",
    "HassListAddItem": "add",
    "HassListRemoveItem": "remove",
    "HassListCompleteItem": "complete",
    "HassStartTimer": "timer",
    "HassCancelTimer": "timer_off",
    "HassPauseTimer": "timer_pause",
    "HassUnpauseTimer": "timer_resume",
    "HassIncreaseTimer": "timer_more",
    "HassDecreaseTimer": "timer_less",
    "HassBroadcast": "broadcast",
}
# Those that change something.
ACTING = frozenset(_SAID_AS) | {"HassTurnOn", "HassTurnOff"}
_SENTENCES: Mapping[str, Mapping[Language, str]] = {
    "on": {"en": "Turned on {what}.", "de": "{what} eingeschaltet.", "zh": "已打开{what}。"},
    "off": {"en": "Turned off {what}.", "de": "{what} ausgeschaltet.", "zh": "已关闭{what}。"},
    "open": {"en": "Opening {what}.", "de": "Ich öffne: {what}.", "zh": "正在打开{what}。"},
    "close": {"en": "Closing {what}.", "de": "Ich schließe: {what}.", "zh": "正在关闭{what}。"},
    "lock": {"en": "Locked {what}.", "de": "{what} abgeschlossen.", "zh": "已锁上{what}。"},
    "unlock": {"en": "Unlocked {what}.", "de": "{what} aufgeschlossen.", "zh": "已解锁{what}。"},
    "activate": {"en": "Activated {what}.", "de": "{what} aktiviert.", "zh": "已启用{what}。"},
    "run": {"en": "Started {what}.", "de": "{what} gestartet.", "zh": "已运行{what}。"},
    "press": {"en": "Pressed {what}.", "de": "{what} gedrückt.", "zh": "已按下{what}。"},
    "set": {
        "en": "Set {what} to {value}.",
        "de": "{what} auf {value} gestellt.",
        "zh": "已把{what}调到{value}。",
    },
    "set_volume": {
        "en": "Set the volume of {what} to {value}.",
        "de": "Lautstärke von {what} auf {value} gestellt.",
        "zh": "已把{what}的音量调到{value}。",
    },
    "louder": {"en": "Turned up {what}.", "de": "{what} lauter gestellt.", "zh": "已调高{what}的音量。"},
    "quieter": {"en": "Turned down {what}.", "de": "{what} leiser gestellt.", "zh": "已调低{what}的音量。"},
    "stop": {"en": "Stopped {what}.", "de": "{what} angehalten.", "zh": "{what}已停止。"},
    "pause": {"en": "Paused {what}.", "de": "{what} pausiert.", "zh": "{what}已暂停。"},
    "resume": {"en": "Resumed {what}.", "de": "{what} fortgesetzt.", "zh": "{what}继续播放。"},
    "next": {"en": "Skipped on {what}.", "de": "Nächster Titel: {what}.", "zh": "{what}已切到下一首。"},
    "previous": {"en": "Went back on {what}.", "de": "Voriger Titel: {what}.", "zh": "{what}已回到上一首。"},
    "mute": {"en": "Muted {what}.", "de": "{what} stummgeschaltet.", "zh": "{what}已静音。"},
    "unmute": {"en": "Unmuted {what}.", "de": "{what} nicht mehr stumm.", "zh": "{what}已取消静音。"},
    "start": {"en": "Started {what}.", "de": "{what} gestartet.", "zh": "{what}已开始工作。"},
    "return": {"en": "Sent {what} back to its base.", "de": "{what} fährt zurück.", "zh": "{what}正在返回。"},
    "add": {
        "en": "Added {item} to {what}.",
        "de": "{item} hinzugefügt: {what}.",
        "zh": "已把{item}加到{what}。",
    },
    "remove": {
        "en": "Removed {item} from {what}.",
        "de": "{item} entfernt: {what}.",
        "zh": "已把{item}从{what}移除。",
    },
    "complete": {
        "en": "Checked off {item} on {what}.",
        "de": "{item} abgehakt: {what}.",
        "zh": "已在{what}勾掉{item}。",
    },
    "timer": {
        "en": "Timer{named} set for {time}.",
        "de": "Timer{named} auf {time} gestellt.",
        "zh": "已设置{time}的计时器{named}。",
    },
    "timer_off": {
        "en": "Timer{named} cancelled.",
        "de": "Timer{named} abgebrochen.",
        "zh": "计时器{named}已取消。",
    },
    "timer_pause": {
        "en": "Timer{named} paused.",
        "de": "Timer{named} angehalten.",
        "zh": "计时器{named}已暂停。",
    },
    "timer_resume": {
        "en": "Timer{named} resumed.",
        "de": "Timer{named} läuft weiter.",
        "zh": "计时器{named}已继续。",
    },
    "timer_more": {
        "en": "Added {time} to the timer{named}.",
        "de": "Timer{named} um {time} verlängert.",
        "zh": "计时器{named}已延长{time}。",
    },
    "timer_less": {
        "en": "Took {time} off the timer{named}.",
        "de": "Timer{named} um {time} verkürzt.",
        "zh": "计时器{named}已缩短{time}。",
    },
    "broadcast": {"en": "Announced it.", "de": "Durchgesagt.", "zh": "已广播。"},
    "unreached": {"en": "I can't reach {what}.", "de": "Nicht erreichbar: {what}.", "zh": "无法连接{what}。"},
}


def language_of(tag: str) -> Language | None:
    """Return the language that a pipeline names (`en-GB`, `de`, `zh-CN`), if there are sentences in it."""
    match tag.lower().replace("_", "-").split("-"):
        case ["en" | "de" as language, *_]:
            return language
        case ["zh"] | ["zh", "hans" | "cn" | "sg", *_]:
            return "zh"
        case _:
            return None


def act_of(called: str | Target | None, arguments: Mapping[str, Any], result: Any) -> Act | None:
    """Return what a call has done; None if it has failed in part, or returned what only a model can put.

    Args:
        called: The intent that was called, or the script; None for any other tool.
        arguments: As Home Assistant got them.
        result: What Home Assistant returned.
    """
    if isinstance(called, Target):
        is_done = isinstance(result, Mapping) and _nothing_returned(result)
        return Act("HassTurnOn", {}, (called,)) if is_done else None
    match result:
        case {"response_type": "action_done", "data": {"success": [*done], "failed": [*failed]}} if called:
            if not all(map(was_unreached, failed)):
                return None
            act = Act(called, arguments, [*map(_target, done)], (*map(_target, failed),))
            return act if _said_as(act) else None
        case _:
            return None


def sentence(acts: Iterable[Act], language: Language, degrees: str) -> str | None:
    """Return what was done.

    Args:
        acts: All of it, in order.
        language: Of the sentence.
        degrees: The unit of temperatures, such as `°C`.

    Returns:
        The sentence; None where there is nothing to say or there are no words for it.
    """
    # What was done alike is said in one sentence: which, and to what value.
    alike: dict[tuple[str, tuple[tuple[str, str], ...]], list[Target]] = {}
    for act in acts:
        for saying, targets in _said_as(act).items():
            more = _more(act, saying, language, degrees)
            if more is None:
                return None
            targets_so_far = alike.setdefault((saying, tuple(more.items())), [])
            targets_so_far += [target for target in targets if target not in targets_so_far]
    said = []
    # What was not done comes last.
    for (saying, more_items), targets in sorted(alike.items(), key=lambda each: each[0][0] == "unreached"):
        text = _SENTENCES[saying][language]
        what = what_of([(each.kind, each.name, each.domain) for each in targets], language)
        if "{what}" in text and not what:
            return None
        filled = text.format(what=what, **dict(more_items))
        said.append(filled[:1].upper() + filled[1:])
    return ("" if language == "zh" else " ").join(said) or None


def _target(target: Mapping[str, Any]) -> Target:
    return Target(_kind(target["type"]), str(target["name"]), str(target["id"] or ""))


def _kind(kind: object) -> str:
    # Home Assistant 2026.2 has members of an enumeration there, which are texts that print otherwise.
    return str(getattr(kind, "value", kind))


def _nothing_returned(result: Mapping[str, Any]) -> bool:
    # `success` until Home Assistant 2026.10.
    return not result.get("error") and result.get("success", True) is True and not result.get("result")


def _said_as(act: Act) -> dict[str, list[Target]]:
    """Return what is said of an act, and of which of its targets; empty where there are no words for it."""
    unreached = {"unreached": list(act.unreached)} if act.unreached else {}
    return {**(_done_as(act) if act.targets or not unreached else {}), **unreached}


def _done_as(act: Act) -> dict[str, list[Target]]:
    if act.intent not in ("HassTurnOn", "HassTurnOff"):
        saying = _SAID_AS.get(act.intent)
        if saying == "volume":
            step = act.arguments.get("volume_step")
            down = step == "down" or (isinstance(step, int) and step < 0)
            saying = "quieter" if down else "louder"
        return {saying: list(act.targets)} if saying else {}
    by_domain, otherwise = (_OPENS, "on") if act.intent == "HassTurnOn" else (_CLOSES, "off")
    entities = [target for target in act.targets if target.kind == "entity"]
    places = [target for target in act.targets if target.kind != "entity"]
    said: dict[str, list[Target]] = {}
    for target in entities:
        said.setdefault(by_domain.get(target.domain, otherwise), list(places)).append(target)
    return said


def _more(act: Act, saying: str, language: Language, degrees: str) -> dict[str, str] | None:
    """Return what else a sentence says; None if that can't be put into words."""
    given = act.arguments
    text = _SENTENCES[saying][language]
    more: dict[str, str] = {}
    if "{value}" in text:
        more["value"] = values(given, language, degrees)
    if "{item}" in text:
        more["item"] = str(given.get("item") or "")
    if "{time}" in text:
        more["time"] = duration(given, language)
    if not all(more.values()) or given.get("conversation_command"):
        return None
    if "{named}" in text:
        name = given.get("name")
        more["named"] = f"{'' if language == 'zh' else ' '}{name}" if name else ""
    return more
