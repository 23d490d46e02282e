"""Which way something is to move, by the words. Imports nothing of Home Assistant.

Home Assistant's HassTurnOn opens covers and locks locks, and HassTurnOff closes and unlocks. Models take one
for the other, and would lock what somebody wants unlocked. Where all that was said is a command that begins
with its verb, that verb counts: "the door is unlocked" is none, and left to the model.
"""

from __future__ import annotations

import re

from .plain import parts

COURTESY = re.compile(
    r"^\W*(?:(?:please|now|hey|ok|okay|(?:can|could|will|would) you|bitte|(?:kannst|könntest) du)\W+)*",
    re.IGNORECASE,
)
NOT = re.compile(r"\b(?:not|never|don['’]?t|nicht|nie|kein\w*)\b|[别不没]", re.IGNORECASE)
_CHINESE = r"(?:请|麻烦|帮我|给我)*(?:把.{1,12}?)?"
# In this order: what is unlocked in German or Chinese is said with the word for locked.
_WAYS = (
    (
        "unlock",
        rf"unlock\b|(?:entriegel|entsperr)\w*\b|(?:schließ|sperr)e?\b.*\bauf\W*$|{_CHINESE}(?:解锁|开锁)",
    ),
    ("lock", rf"lock\b|verriegel\w*\b|(?:schließ|sperr)e?\b.*\b(?:ab|zu)\W*$|{_CHINESE}(?:锁上|锁好|锁)"),
    ("open", rf"(?:open|raise)\b|öffne\b|mache?\b.*\bauf\W*$|{_CHINESE}(?:打开|开)"),
    ("close", rf"(?:close|shut|lower)\b|schließe?\b|mache?\b.*\bzu\W*$|{_CHINESE}(?:关上|关闭|关)"),
)
_PATTERNS = [(way, re.compile(pattern, re.IGNORECASE)) for way, pattern in _WAYS]
# What of it each domain has, and the intent that does it.
_INTENTS = {
    "cover": {"open": "HassTurnOn", "close": "HassTurnOff"},
    "valve": {"open": "HassTurnOn", "close": "HassTurnOff"},
    "lock": {"lock": "HassTurnOn", "unlock": "HassTurnOff"},
}


def intent_of(said: str, domain: str) -> str | None:
    """Return the intent that moves a thing as somebody wants; None where the words leave it open."""
    if parts(said) != 1 or NOT.search(said):
        return None
    verb = COURTESY.sub("", said)
    way = next((way for way, pattern in _PATTERNS if pattern.match(verb)), None)
    return _INTENTS.get(domain, {}).get(way or "")
