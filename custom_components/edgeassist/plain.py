"""Whether what somebody said is a command and nothing else, or a question. Imports nothing of Home Assistant.

What was done is a whole answer to a command. Words that may ask for more are looked for in English, German
and Chinese at once; one too many costs a second question to the model, and nothing else. To a question
nothing is done; there, one too many of the words that may command leaves it to the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# A request that is put as a question.
_POLITE = re.compile(
    r"^\W*(?:(?:can|could|would|will) you|(?:kannst|könntest|würdest) du)\b(?P<rest>.*)",
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
# It begins as a question, or ends as one in Chinese.
_QUESTION = re.compile(
    r"^\W*(?:(?:hey|hi|hello|ok|okay|so|and|please|hallo|und|bitte)\b\W*)*"
    r"(?:(?:what|which|who|whose|where|when|how|is|are|was|were|does|did|has|have)\b(?! about)"
    r"|(?:was|welche[rsmn]?|wer|wo|wann|wie|wieviel|ist|sind|hat|haben|läuft|laufen|brennt|brennen|steht)\b)"
    r"|[吗呢么]\W*$|什么|多少|[几哪谁]|是不是|有没有",
    re.IGNORECASE,
)
# It may be a command that is put as a question, or have one behind it.
_COMMANDS = re.compile(
    r"\b(?:you|if|then|turn|switch|set|dim|make|put|start|run|play|pause|stop|skip|raise|lower|increase|"
    r"decrease|add|remind|tell|let)\b"
    r"|\b(?:du|sie|wäre|wenn|falls|dann|schalte?|schalten|mache?|machen|stelle?|stellen|dimme?|spiele?|"
    r"starte?|stoppe?|pausiere?|füge?|bitte)\b"
    r"|[把请帮让]|打开|关掉|关上|关闭|能不能|[可能]否|可以|要不要|如果|要是|的话",
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
        rest = polite["rest"].rstrip()
        said = rest[:-1] if rest.endswith(("?", "？")) else rest
    if _ASKS.search(said):
        return None
    return sum(not _COURTESY.fullmatch(part) for part in _BETWEEN.split(said)) or 1


def only_asks(said: str) -> bool:
    """Return whether it is a question by its words, and nothing is to be done for it."""
    return bool(_QUESTION.search(said)) and not _COMMANDS.search(said)


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
