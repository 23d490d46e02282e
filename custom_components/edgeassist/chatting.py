"""Whether somebody says no more than thanks, a greeting or the like. Imports nothing of Home Assistant.

Nothing is to be done for that, and a small model that has read a home's tools calls one all the same.
"Good night" is not among it: that may be what a scene is called.
"""

from __future__ import annotations

import re

PROMPT = (
    "You are the friendly voice of a home. Answer in one short sentence, in the language that is spoken "
    "to you. You see nothing of the home, and change nothing there."
)
_BETWEEN = re.compile(r"[,;:.!?，、；。：！？…~～—\n]+")
_ENGLISH = (
    r"(?:many )?thanks?(?: you)?(?: (?:so much|very much|a lot|again|for (?:that|everything|your help)))?",
    r"cheers|ok|okay|alright|all right|great|perfect|nice|cool|awesome|lovely|wonderful|excellent",
    r"(?:good|nice|great) (?:job|work)|well done|sorry|never ?mind|(?:i'm|i am|we're) (?:done|fine|good)",
    r"that(?:'s|'ll be|s| is| was| will be| would be) (?:all|it|everything|great|fine|perfect)(?: for now)?",
    r"nothing(?: else| more)?|hello|hi|hey|(?:hi|hello|hey) there|good (?:day|afternoon)|nice to meet you",
    r"(?:good ?)?bye(?: bye)?|see you(?: (?:later|soon|then|tomorrow))?|how are you(?: doing)?",
    r"you(?: are|'re) (?:welcome|great|the best)",
)
_GERMAN = (
    r"danke(?: (?:schön|sehr|dir|dafür|nochmals?|vielmals|für (?:die|deine) hilfe))?|dankeschön",
    r"(?:vielen(?: lieben)?|besten) dank|das (?:ist|war|wäre|wär) (?:alles|es|toll|gut|super|nett)",
    r"das wär'?s|das wars|sonst nichts|nichts(?: mehr| weiter)?|super|toll|prima|perfekt|klasse",
    r"sehr (?:gut|schön)|gut gemacht|schon gut|egal|entschuldigung|hallo|servus|moin|guten tag",
    r"grüß (?:gott|dich)|tschüss?|ciao|auf wiedersehen|bis (?:bald|später|dann|morgen)",
    r"wie geht(?: es dir|'?s(?: dir)?)",
)
_CHINESE = (
    r"谢谢(?:[你您啦了]|[你您]了)?|多谢[了你您]?|感谢[你您]?|辛苦[你您]?了|(?:今天)?就这样[吧了]?|就这些了?",
    r"没[有事]了|没有别的了|不用了|算了|好的?[吧了啊呀]?|行[了吧]?|太好了|真棒|很好|[你您]好[呀啊吗]?|嗨|哈[喽啰]",
    r"再见|拜拜|回头见|对不起|不好意思|最近怎么样",
)
_PHRASE = re.compile(
    rf"(?:(?:ok|okay|well|oh|ah|no|yes|and|so) )?(?:{'|'.join(_ENGLISH)})(?: (?:then|now|today|everybody))?"
    rf"|(?:(?:ok|okay|nein|na|und|oh|ja) )?(?:{'|'.join(_GERMAN)})(?: (?:dann|jetzt|heute))?"
    rf"|(?:好的?|嗯|那)?(?:{'|'.join(_CHINESE)})",
    re.IGNORECASE,
)
# Before one of these; alone they may answer something.
_FILLERS = frozenset(("no", "yes", "nein", "ja", "oh", "well", "嗯", "不"))
# Longer than some of these in a row.
_MOST = 200


def only_talks(said: str) -> bool:
    """Return whether nothing of it is a command, or a question about anything."""
    if len(said) > _MOST:
        return False
    parts = (" ".join(part.replace("’", "'").split()) for part in _BETWEEN.split(said))
    spoken = [part for part in parts if part and part.casefold() not in _FILLERS]
    return bool(spoken) and all(map(_PHRASE.fullmatch, spoken))
