"""Whether what somebody said is a command and nothing else. Imports nothing of Home Assistant.

Where it is, what was done is a whole answer to it. Words that may ask for more are looked for in English,
German and Chinese at once; one too many costs a second question to the model, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# A request that is put as a question.
_POLITE = re.compile(
    r"^\W*(?:(?:can|could|would|will) you|(?:kannst|könntest|würdest) du)\b(?P<rest>.*?)\s*[?？]?\s*$",
    re.IGNORECASE | re.DOTALL,
)
# It asks something, or under a condition.
_ASKS = re.compile(
    r"[?？]"
    r"|\b(?:what|why|how|which|who|whose|where|when|whenever|while|whether|if|unless|until|till|tell|say|"
    r"explain|describe|is|are|was|were|does|did|has|have|should|joke|story|let me know)\b"
    r"|\b(?:was|warum|wie|wieviel|welche[rsmn]?|wer|wo|wann|wenn|falls|sobald|solange|bis|ob|sage?|"
    r"erzähle?|erkläre?|ist|sind|hat|haben|soll|witz|geschichte)\b"
    r"|[吗呢么]|什么|多少|[几哪谁]|如果|要是|的话|告诉|是不是|是否|为什么|直到|[说讲]",
    re.IGNORECASE,
)
# Between two things that are to be done.
_BETWEEN = re.compile(
    r"[,;:.!，、；。：！\n]+(?!\d)|\b(?:and|then|but|also|plus|as well as|und|dann|aber|auch|sowie)\b"
    r"|然后|并且|而且|还有|[和跟与并再]",
    re.IGNORECASE,
)
# Of all there are, or of more than one.
_ALL = re.compile(
    r"\b(?:all|every|everything|everywhere|each|both|alle[nsm]?|jede[srnm]?|beide[nsr]?)\b|[全都]|所有|每"
)
_MANY = re.compile(
    r"\b(?:lights|lamps|bulbs|fans|doors|gates|locks|windows|plugs|sockets|outlets|switches|speakers|heaters|"
    r"radiators|lichter|lampen|leuchten|ventilatoren|türen|fenster|steckdosen|schalter|lautsprecher)\b"
)
_COURTESY = re.compile(
    r"\W*(?:(?:please|hey|hi|hello|ok|okay|thanks|thank you|now|bitte|hallo|danke|jetzt|mal"
    r"|请|谢谢|好的?|你好)\b\W*)*",
    re.IGNORECASE,
)


def parts(said: str) -> int | None:
    """Return how many things are to be done at most, by the words; None where something may be asked."""
    if polite := _POLITE.match(said):
        said = polite["rest"]
    if _ASKS.search(said):
        return None
    return sum(not _COURTESY.fullmatch(part) for part in _BETWEEN.split(said)) or 1


def means_more(said: str, names: Iterable[str]) -> bool:
    """Whether more than one is meant, by the words, where a model has named one or several.

    Args:
        said: What was said.
        names: Of what was switched; none where it was switched by its place or kind.
    """
    named = [name.casefold() for name in names]
    words = said.casefold()
    if not named:
        return False
    many = _MANY.search(words)
    is_one = len(named) == 1 and not (many and many[0] in named[0])
    return bool(_ALL.search(words)) or (many is not None and is_one)
