"""How things of a home are named in a sentence. Imports nothing of Home Assistant."""

from __future__ import annotations

import re
from collections.abc import Sequence

# More names are a list that nobody listens to.
_MOST = 3
_AND = {"en": " and ", "de": " und ", "zh": "和"}
_BETWEEN = {"en": ", ", "de": ", ", "zh": "、"}
_MANY = {
    "light": {"en": "{} lights", "de": "{} Lichter", "zh": "{}盏灯"},
    "switch": {"en": "{} switches", "de": "{} Schalter", "zh": "{}个开关"},
    "cover": {"en": "{} covers", "de": "{} Rollläden und Tore", "zh": "{}个窗帘"},
    "fan": {"en": "{} fans", "de": "{} Ventilatoren", "zh": "{}个风扇"},
    "media_player": {"en": "{} media players", "de": "{} Medienspieler", "zh": "{}个播放器"},
    "": {"en": "{} devices", "de": "{} Geräte", "zh": "{}个设备"},
}
_INSIDE = {"en": "{what} in {place}", "de": "{what} ({place})", "zh": "{place}的{what}"}
# A name that ends so takes an article in English: "the Kitchen light", "Robot".
_NOUNS = re.compile(
    r"\b(?:lights?|lamps?|bulbs?|fans?|doors?|gates?|locks?|windows?|blinds?|shutters?|shades?|curtains?|"
    r"awnings?|heating|heaters?|radiators?|thermostats?|radio|tv|television|speakers?|stereo|machine|maker|"
    r"kettle|oven|washer|dryer|dishwasher|fridge|rail|sockets?|plugs?|outlets?|switch(?:es)?|strips?|valves?|"
    r"pumps?|sprinklers?|humidifier|dehumidifier|purifier|vacuum|cleaner|mower|list|conditioner)$",
    re.IGNORECASE,
)
_OWNED = re.compile(r"^(?:the|my|our|all)\b|\w['’]s?(?:\s|$)", re.IGNORECASE)


def what_of(targets: Sequence[tuple[str, str, str]], language: str) -> str:
    """Return what was switched.

    Args:
        targets: Kind (`entity`, `area`, `floor`), name and domain of each.
        language: `en`, `de` or `zh`.

    Returns:
        Up to three names, or how many and where; empty where there are none.
    """
    entities = [(name, domain) for kind, name, domain in targets if kind == "entity"]
    places = [name for kind, name, _ in targets if kind != "entity"]
    if not entities:
        return _listed(places, language)
    if len(entities) <= _MOST:
        names = [name for name, _ in entities]
        return _listed([named(name) for name in names] if language == "en" else names, language)
    domains = {domain for _, domain in entities}
    many = _MANY.get(domains.pop() if len(domains) == 1 else "", _MANY[""])[language].format(len(entities))
    if len(places) != 1:
        return many
    return _INSIDE[language].format(what=many, place=places[0])


def named(name: str) -> str:
    """Return a name as it stands in an English sentence."""
    return f"the {name}" if _NOUNS.search(name) and not _OWNED.search(name) else name


def _listed(names: Sequence[str], language: str) -> str:
    parts = (_BETWEEN[language].join(names[:-1]), *names[-1:])
    return _AND[language].join(filter(None, parts))
