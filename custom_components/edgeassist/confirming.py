"""What is said of a turn's calls instead of a second answer. Imports nothing of Home Assistant.

What Home Assistant has in its chat log is known here by its attributes only, as in `messages`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import Any

from .chatting import only_talks
from .done import ACTING, Act, Language, Target, act_of, sentence
from .failures import Failure, Why
from .invented import InventedCallError
from .messages import data_of
from .plain import means_more, only_asks, parts
from .reaching import note_unreached


class ActsOnQuestionError(Exception):
    """A model wants to change something, and was only asked."""


@dataclass(frozen=True, slots=True)
class Voice:
    """How an answer is to be given that somebody hears or reads in a chat.

    Attributes:
        said: What was said.
        language: In which there are sentences; None for others, where the model says all.
        confirms: Whether a command that was done is confirmed without asking the model again.
        degrees: The home's unit of temperatures.
        wants_code: Whether an answer may be JSON.
        replies: Whether it answers a question of the agent's.
    """

    said: str
    language: Language | None
    confirms: bool
    degrees: str
    wants_code: bool = False
    replies: bool = False


class Turn:
    """What has come of a turn's calls so far.

    Args:
        voice: How it is to be answered.
        called_by: Gives, for a tool's name, the intent or the script; None for others.
        knows: Whether what it may ask is known.
        unavailable: Gives the ids of the entities that are.

    Attributes:
        asks: Whether something was asked that is known, and nothing is to be done.
        chats: Whether no more was said than thanks or the like.
        spoken: Whether calls that are written as text are kept from being said.
        confirms: Whether what was done is said without the model.
        called: Whether something was called.
    """

    def __init__(
        self,
        voice: Voice,
        called_by: Callable[[str], str | Target | None],
        *,
        knows: bool = False,
        unavailable: Callable[[], Container[str]] = frozenset,
    ) -> None:
        self._voice = voice
        self._called_by = called_by
        self.asks = knows and only_asks(voice.said)
        self.chats = only_talks(voice.said) and not voice.replies
        self.spoken = not voice.wants_code
        self.confirms = voice.confirms
        self._list_unavailable = unavailable
        # When the last calls were made: a TV may be so because it was switched off.
        self._unavailable: Container[str] = frozenset()
        self._acts: list[Act] = []
        # Of the last round with calls.
        self._all_done = False
        self._errors: list[str] = []
        self.called = False
        self._tried_again = False

    def check(self, names: Iterable[str]) -> None:
        """See whether calls, by their tools' names, may be carried out.

        Raises:
            ActsOnQuestionError: They change something. Asked about a door, a small model likes to open it.
        """
        if self.asks and any(self._called_by(name) in ACTING for name in names):
            raise ActsOnQuestionError
        self._unavailable = self._list_unavailable()

    def note(self, contents: Iterable[Any]) -> None:
        """Note what a round has added to the chat log."""
        made = list(contents)
        calls = {call.id: call for each in made if each.role == "assistant" for call in each.tool_calls or ()}
        if not calls:
            self._all_done = False
            return
        results = {each.tool_call_id: data_of(each) for each in made if each.role == "tool_result"}
        for each in results.values():
            note_unreached(each, self._unavailable)
        acts = [
            act_of(self._called_by(call.tool_name), call.tool_args, results.get(key))
            for key, call in calls.items()
        ]
        self.called = True
        self._acts += filter(None, acts)
        self._all_done = all(acts)
        self._errors = [each["error"] for each in results.values() if _is_error(each)]

    @property
    def confirmation(self) -> str | None:
        """What is said instead of asking the model again; None where it is to be asked."""
        if not (self.confirms and self._all_done):
            return None
        wanted = parts(self._voice.said)
        if wanted is None or wanted > len(self._acts):
            return None
        by_name = [act for act in self._acts if "name" in act.arguments]
        targets = [each for act in by_name for each in (*act.targets, *act.unreached)]
        names = [each.name for each in targets if each.kind == "entity"]
        more = len(by_name) == len(self._acts) and means_more(self._voice.said, names)
        return None if more else self.sentence

    @property
    def wants_words(self) -> bool:
        """Whether words are all that is wanted, and nothing was done."""
        return not self._acts and (self.chats or only_asks(self._voice.said))

    @property
    def sentence(self) -> str | None:
        """What was done, if something was."""
        if not self._acts or self._voice.language is None:
            return None
        return sentence(self._acts, self._voice.language, self._voice.degrees)

    @property
    def language(self) -> Language | None:
        """In which it is said; None where there are no sentences."""
        return self._voice.language

    @property
    def failed(self) -> bool:
        """Whether one of the last calls has failed."""
        return bool(self._errors)

    def second_try(self, mistake: InventedCallError | ActsOnQuestionError) -> object | None:
        """Return how the model is made to call what it has only written: a `tool_choice`, once in a turn.

        Behind a call that was carried out it is what a small model imagines of its result. A name that is
        none is not followed up either: made to call something, such a model announced what was to be noted.
        """
        done = self.called and not self._errors
        if isinstance(mistake, ActsOnQuestionError) or mistake.tool is None or done or self._tried_again:
            return None
        self._tried_again = True
        return {"type": "function", "function": {"name": mistake.tool}}

    @property
    def failure(self) -> Failure:
        """What is said where the model has no words."""
        if not self._errors:
            return Failure(Why.NOT_WORDS)
        return Failure(Why.NOT_FOUND if set(self._errors) == {"MatchFailedError"} else Why.NOT_DONE)


def _is_error(result: Any) -> bool:
    return isinstance(result, dict) and isinstance(result.get("error"), str)
