"""What a chat template can do, found out by rendering words that no template holds. Sans-I/O."""

from __future__ import annotations

import re
from collections.abc import Callable

from edgeassist.engine.messages import ChatMessage
from edgeassist.engine.prompting.documents import ASSISTANT, SYSTEM, TOOL, USER
from edgeassist.engine.prompting.turns import Abilities

# In lower case and without spaces: templates strip, lower and split what is said.
_WORDS = ("zqalpha", "zqbravo", "zqcharlie", "zqdelta")
_ROLES = {"s": SYSTEM, "u": USER, "a": ASSISTANT, "t": TOOL}

# Returns the prompt of messages, where those of some roles have their content as a list of parts; None if the
# template does not take them.
Render = Callable[[tuple[ChatMessage, ...], frozenset[str]], str | None]


def find_abilities(render: Render) -> Abilities | None:
    """Return what a template can do; None if what is asked does not come out of it."""
    parts = _find_parts(render)
    if parts is None:
        return None

    def takes(letters: str) -> bool:
        return _takes(render, letters, parts)

    return Abilities(
        system=takes("su") and takes("suau"),
        systems=takes("ssu"),
        late_system=takes("uasu"),
        empty_system=_needs_empty_system(render, parts),
        empty_answer=_renders_empty_answer(render, parts),
        tool=takes("uat") and takes("uatu"),
        repeats=frozenset(
            role
            for role, conversations in ((USER, ("uu", "uauu")), (ASSISTANT, ("uaau",)))
            if all(
                _comes_out(render, letters, at, parts)
                for letters in conversations
                for at in range(len(letters))
            )
        ),
        parts=parts,
    )


def find_ends(render: Render, parts: frozenset[str], control: re.Pattern[str]) -> frozenset[str]:
    """Return the control tokens that end an answer, as the template tells.

    Those are all that stand between an answer and the next text: the token that ends the turn, and the one
    that opens the user's. The one that opens the assistant's is the first behind a question that is neither.

    None where the model opens its answer itself with control tokens, beside those of a thought: it may then
    say several things in one turn, each with its own end (gpt-oss: `<|channel|>analysis … <|end|>`).

    Args:
        render: As for `find_abilities`.
        parts: The roles whose content is a list of parts.
        control: Matches control tokens.
    """
    first, second, third, *_ = (re.escape(word) for word in _WORDS)
    pieces = re.split(f"{first}|{second}|{third}", render(_conversation("uau"), parts) or "")
    if len(pieces) != 1 + 3:
        return frozenset()
    _, opening, closing, ready = pieces
    opened, prepared = (
        [found for each in control.finditer(piece) if "think" not in (found := each.group()).lower()]
        for piece in (opening, ready)
    )
    ends = frozenset(_control_at_start(closing, control))
    if not ends or opened != prepared[: len(opened)]:
        return frozenset()
    return ends.union([each for each in _control_at_start(opening, control) if each not in ends][:1])


def find_lowers(render: Render, parts: frozenset[str]) -> bool:
    """Return whether the template writes what the user says in lower case."""
    word = _WORDS[0].upper()
    prompt = render((ChatMessage(USER, word),), parts) or ""
    return word not in prompt and word.lower() in prompt


def _find_parts(render: Render) -> frozenset[str] | None:
    """Return the roles whose text is lost unless it is a part of a list; None if the user's always is."""
    parts: frozenset[str] = frozenset()
    for role, at, conversations in (
        (USER, -1, ("u", "su")),
        (ASSISTANT, 1, ("uau",)),
        (SYSTEM, 0, ("su",)),
        (TOOL, 2, ("uat",)),
    ):
        forms = [
            form
            for form in (parts, parts | {role})
            if any(_comes_out(render, letters, at, form) for letters in conversations)
        ]
        if forms:
            parts = forms[0]
        elif role == USER:
            return None
    return parts


def _takes(render: Render, letters: str, parts: frozenset[str]) -> bool:
    """Whether what is told and what came last come out, and none of it as if the assistant had said it."""
    prompt = render(_conversation(letters), parts)
    if prompt is None:
        return False
    for at, (letter, word) in enumerate(zip(letters, _WORDS, strict=False)):
        if letter not in "st" and at < len(letters) - 1:
            continue
        as_said, as_asked = (
            render(_conversation(letters[:at] + other + letters[at + 1 :]), parts) for other in "au"
        )
        if word not in prompt or prompt == as_said != as_asked:
            return False
    return True


def _comes_out(render: Render, letters: str, at: int, parts: frozenset[str]) -> bool:
    """Whether the text of that turn does."""
    return _WORDS[: len(letters)][at] in (render(_conversation(letters), parts) or "")


def _needs_empty_system(render: Render, parts: frozenset[str]) -> bool:
    """Whether an empty system message keeps a longer one of the template's own away."""
    empty, none = (render(turns, parts) for turns in (_conversation("su", empty=0), _conversation("u")))
    return empty is not None and _WORDS[1] in empty and len(empty) < len(none or "")


def _renders_empty_answer(render: Render, parts: frozenset[str]) -> bool:
    """Whether an empty answer is rendered like any other, but for white space."""
    full, empty = (render(_conversation("uau", empty=at), parts) for at in (None, 1))
    if full is None or empty is None:
        return False
    return "".join(full.replace(_WORDS[1], "").split()) == "".join(empty.split())


def _control_at_start(text: str, control: re.Pattern[str]) -> list[str]:
    """Return the control tokens before any other text."""
    found: list[str] = []
    while match := control.match(text := text.lstrip()):
        found.append(match.group())
        text = text[match.end() :]
    return found


def _conversation(letters: str, *, empty: int | None = None) -> tuple[ChatMessage, ...]:
    """Return a conversation of these roles, with another word in each turn; one of them may have none."""
    return tuple(
        ChatMessage(_ROLES[letter], "" if at == empty else word)
        for at, (letter, word) in enumerate(zip(letters, _WORDS, strict=False))
    )
