"""What was done, what is known, and what lacks, in a sentence. Imports nothing of Home Assistant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .hearing import Why
from .home import Place, Thing
from .intents import Lacks, Missing, Plan
from .judging import Action
from .names import named, what_of
from .readings import Reading
from .turn import Told
from .words import Language

_DEVICES: dict[str, dict[Language, str]] = {
    "light": {"en": "lights", "zh": "灯"},
    "fan": {"en": "fans", "zh": "风扇"},
    "heating": {"en": "heating", "zh": "暖气"},
    "air_conditioner": {"en": "air conditioning", "zh": "空调"},
    "blinds": {"en": "blinds", "zh": "百叶窗"},
    "curtains": {"en": "curtains", "zh": "窗帘"},
    "socket": {"en": "sockets", "zh": "插座"},
    "tv": {"en": "TV", "zh": "电视"},
    "speaker": {"en": "speakers", "zh": "音箱"},
    "vacuum": {"en": "vacuum cleaner", "zh": "扫地机器人"},
    "humidifier": {"en": "humidifier", "zh": "加湿器"},
    "dehumidifier": {"en": "dehumidifier", "zh": "除湿机"},
    "air_purifier": {"en": "air purifier", "zh": "空气净化器"},
    "kettle": {"en": "kettle", "zh": "水壶"},
    "coffee_machine": {"en": "coffee machine", "zh": "咖啡机"},
    "washing_machine": {"en": "washing machine", "zh": "洗衣机"},
}
_QUANTITIES: dict[str, dict[Language, str]] = {
    "temperature": {"en": "temperature", "zh": "温度"},
    "humidity": {"en": "humidity", "zh": "湿度"},
    "co2": {"en": "CO2", "zh": "二氧化碳"},
    "brightness": {"en": "brightness", "zh": "亮度"},
    "power": {"en": "power", "zh": "功率"},
    "battery": {"en": "battery", "zh": "电量"},
    "pressure": {"en": "pressure", "zh": "气压"},
    "noise": {"en": "noise", "zh": "噪音"},
    "dust": {"en": "dust", "zh": "粉尘"},
    "window": {"en": "window", "zh": "窗户"},
    "door": {"en": "door", "zh": "门"},
    "light": {"en": "light", "zh": "灯"},
    "heating": {"en": "heating", "zh": "暖气"},
    "motion": {"en": "motion", "zh": "人体感应"},
    "speed": {"en": "speed", "zh": "风速"},
    "position": {"en": "position", "zh": "开度"},
    "volume": {"en": "volume", "zh": "音量"},
}
_COLORS = {
    "red": "红色",
    "green": "绿色",
    "blue": "蓝色",
    "yellow": "黄色",
    "orange": "橙色",
    "purple": "紫色",
    "pink": "粉色",
    "white": "白色",
    "warm_white": "暖白色",
    "cold_white": "冷白色",
}
_DONE: dict[tuple[str, str], dict[Language, str]] = {
    ("turn_on", ""): {"en": "Turned on {what}.", "zh": "已打开{what}。"},
    ("turn_off", ""): {"en": "Turned off {what}.", "zh": "已关闭{what}。"},
    ("turn_on", "vacuum"): {"en": "Started {what}.", "zh": "{what}开始清扫。"},
    ("turn_off", "vacuum"): {"en": "{what} returns to its base.", "zh": "{what}正在回去充电。"},
    ("open", ""): {"en": "Opening {what}.", "zh": "正在打开{what}。"},
    ("close", ""): {"en": "Closing {what}.", "zh": "正在关闭{what}。"},
    ("lock", ""): {"en": "Locked {what}.", "zh": "已锁上{what}。"},
    ("unlock", ""): {"en": "Unlocked {what}.", "zh": "已解锁{what}。"},
    ("set", ""): {"en": "Set {what} to {value}.", "zh": "已把{what}调到{value}。"},
    ("increase", ""): {"en": "Turned up {what}.", "zh": "已调高{what}。"},
    ("decrease", ""): {"en": "Turned down {what}.", "zh": "已调低{what}。"},
}
_LACKS: dict[Lacks, dict[Language, str]] = {
    Lacks.NOTHING: {"en": "I know of no {device}{where}.", "zh": "{where}没有我能控制的{device}。"},
    Lacks.WHICH: {"en": "Which one do you mean: {things}?", "zh": "你指的是哪一个：{things}？"},
    Lacks.PLACE: {"en": "Which room do you mean?", "zh": "你指的是哪个房间？"},
    Lacks.ABILITY: {"en": "{things} can't do that.", "zh": "{things}做不到。"},
}
_FAILED: dict[Language, str] = {"en": "{what} did not do that.", "zh": "{what}没有执行成功。"}
_UNREACHED: dict[Language, str] = {"en": "I can't reach {what}.", "zh": "无法连接{what}。"}
_NO_SENSOR: dict[Language, str] = {
    "en": "I know of no sensor for the {quantity}{where}.",
    "zh": "{where}没有{quantity}传感器。",
}
_NOT_UNDERSTOOD: dict[Why, dict[Language, str]] = {
    Why.SEVERAL: {"en": "One thing at a time, please.", "zh": "请一次只说一件事。"},
    Why.UNSURE: {
        "en": "I am not sure what to do. Please say it in other words.",
        "zh": "我不确定该做什么，请换个说法。",
    },
    Why.EXACT: {
        "en": "Sorry, that I only do in Home Assistant's own sentences.",
        "zh": "抱歉，这个只能用Home Assistant自带的句子来说。",
    },
    Why.OTHER: {"en": "Sorry, I can't do that.", "zh": "抱歉，这个我做不到。"},
}
# More names are a list that nobody listens to.
_MOST_NAMES = 4


def done(plan: Plan, language: Language) -> str:
    """Return what was done."""
    action = plan.action
    kind = action.action
    if plan.things[0].domain == "cover":
        kind = {"turn_on": "open", "turn_off": "close"}.get(kind, kind)
    text = _DONE.get((kind, action.device)) or _DONE[kind, ""]
    return _sentence(text[language], what=_what(plan, language), value=_value(action, plan.things, language))


def failed(things: Sequence[Thing], language: Language) -> str:
    """Return that things did not do what they were told."""
    return _sentence(_FAILED[language], what=_names(things, language))


def unreached(things: Sequence[Thing], language: Language) -> str:
    """Return which things are away; empty where there are none."""
    if not things:
        return ""
    return _UNREACHED[language].format(
        what=what_of([("entity", each.name, each.domain) for each in things], language)
    )


def not_understood(why: Why, language: Language) -> str:
    """Return that nothing was done, and why."""
    return _NOT_UNDERSTOOD.get(why, _NOT_UNDERSTOOD[Why.OTHER])[language]


def missing(what: Missing, language: Language) -> str:
    """Return why something can't be done."""
    device = _DEVICES.get(what.device) or _QUANTITIES.get(what.device) or {}
    return _sentence(
        _LACKS[what.lacks][language],
        device=device.get(language, what.device),
        where=_where(what.place, language),
        things=_names(what.things, language, between="or"),
    )


def told(what: Told, language: Language) -> str:
    """Return what is known of what was asked."""
    quantity = _QUANTITIES[what.quantity][language]
    if not what.readings:
        return _sentence(_NO_SENSOR[language], quantity=quantity, where=_where(what.place, language))
    if len(what.readings) == 1:
        return _sentence(_reading(what.readings[0], what.place, language))
    values = {reading.value for reading in what.readings}
    if len(values) == 1 and what.place:
        return _sentence(_reading(what.readings[0], what.place, language))
    return _several(what.readings, language)


def _several(readings: Iterable[Reading], language: Language) -> str:
    parts = [f"{reading.thing.name} {reading.told(language)}" for reading in readings]
    more = len(parts) - _MOST_NAMES
    shown = ", ".join(parts[:_MOST_NAMES])
    if more > 0:
        shown += {"en": f", and {more} more", "zh": f"，还有{more}个"}[language]
    return _sentence(f"{shown}." if language == "en" else f"{shown.replace(', ', '，')}。")


def _reading(reading: Reading, place: Place | None, language: Language) -> str:
    quantity, value = _QUANTITIES[reading.quantity][language], reading.told(language)
    named = place.name if place else None
    if reading.quantity == "motion":
        if language == "zh":
            return f"{named or reading.thing.name}现在{value}。"
        where = f"in {named}" if named else f"at {reading.thing.name}"
        return f"Motion is detected {where}." if reading.value == "detected" else f"No motion {where}."
    if language == "en":
        return f"The {quantity} in {named} is {value}." if named else f"{reading.thing.name} is {value}."
    subject = f"{named}的{quantity}" if named else reading.thing.name
    return f"{subject}{'现在' if reading.value.isalpha() else '是'}{value}。"


def _what(plan: Plan, language: Language) -> str:
    """Return what an action was for: its one thing, or the devices of a place."""
    if len(plan.things) == 1:
        name = plan.things[0].name
        return named(name) if language == "en" else name
    device = _DEVICES[plan.action.device][language]
    if plan.place is None:
        return {"en": f"all {device}", "zh": f"所有的{device}"}[language]
    return {"en": f"the {device} in {plan.place.name}", "zh": f"{plan.place.name}的{device}"}[language]


def _value(action: Action, things: Sequence[Thing], language: Language) -> str:
    if isinstance(action.value, str):
        return {"en": action.value.replace("_", " "), "zh": _COLORS.get(action.value, action.value)}[language]
    if action.value is None:
        return ""
    if action.property == "temperature":
        unit = things[0].attributes.get("temperature_unit", "°C")
        return f"{float(action.value):g} {unit}"
    return f"{float(action.value):g} %"


def _where(place: Place | None, language: Language) -> str:
    if place is None:
        return ""
    return f" in {place.name}" if language == "en" else place.name


def _names(things: Sequence[Thing], language: Language, between: str = "and") -> str:
    names = [thing.name for thing in things[:_MOST_NAMES]]
    if language == "zh":
        return "、".join(names)
    return f" {between} ".join(", ".join(some) for some in (names[:-1], names[-1:]) if some)


def _sentence(text: str, **parts: str) -> str:
    filled = text.format(**parts) if parts else text
    return filled[:1].upper() + filled[1:]
