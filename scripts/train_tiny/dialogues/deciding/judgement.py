"""A state with questions about it, and what is drawn to make one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from edgeassist.engine.deciding.wording import Asking, askings, neutral
from edgeassist.engine.messages import ChatMessage, Decide, Right, Shot
from edgeassist.engine.messages import Question as EngineQuestion
from edgeassist.engine.messages import QuestionKind as Kind
from scripts.train_tiny.dialogues.deciding.words import DecisionWords, decision_words
from scripts.train_tiny.dialogues.grammar import choose_alternatives, fill
from scripts.train_tiny.dialogues.language import Language, Phrasings, words_of
from scripts.train_tiny.dialogues.layouts import Layout
from scripts.train_tiny.dialogues.places import draw_room, with_article
from scripts.train_tiny.dialogues.split import Part, Split

Conversation = Sequence[ChatMessage]
YES_NO = ("yes", "no")
_MOST_OPTIONS = 8
# How often a question has a mark at its end.
_MARK_SHARE = 0.9
# How often what the options mean is told.
_NOTES_SHARE = 0.15
_YES_NOTES_SHARE = 0.04


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about a state.

    Attributes:
        about: What kind of question it is, for the tables.
        kind: What is asked for.
        text: The question.
        options: What may be answered.
        right: The number of the right one.
        notes: What each option means; none where the names say it.
    """

    about: str
    kind: Kind
    text: str
    options: tuple[str, ...]
    right: int
    notes: tuple[str, ...] = ()

    def to_engine(self) -> EngineQuestion:
        """Return it as the engine takes it."""
        return EngineQuestion(self.kind, self.text, self.options, self.notes)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A state with questions about it.

    Attributes:
        language: Of the questions.
        state: What they are about.
        asked: The questions.
        instructions: The system prompt; may be empty.
        shots: Questions about other states, which are answered before.
    """

    language: Language
    state: str
    asked: tuple[Asked, ...]
    instructions: str = ""
    shots: tuple[tuple[str, Asked], ...] = ()

    def prompts(self) -> list[Conversation]:
        """Return what is said before the answer to each question."""
        return [asking.messages for asking in self._of_asked(askings(self._decide()))]

    def neutral_prompts(self) -> list[Conversation | None]:
        """Return what is said of each one's options alone; None of those of which nothing is taken off."""
        asked = neutral(self._decide())[: len(self.asked)]
        return [None if asking is None else asking.messages for asking in asked]

    def options(self) -> list[tuple[str, ...]]:
        """Return how each question's options are answered."""
        asked = self._of_asked(askings(self._decide()))
        return [tuple(option.lower() for option in asking.options) for asking in asked]

    def _decide(self) -> Decide:
        questions = (*self.asked, *(each for _, each in self.shots))
        shots = tuple(
            Shot(state, (Right(place, each.options[each.right]),))
            for place, (state, each) in enumerate(self.shots, len(self.asked))
        )
        return Decide(
            "train", self.state, tuple(each.to_engine() for each in questions), self.instructions, shots
        )

    def _of_asked(self, found: Sequence[Asking]) -> Sequence[Asking]:
        """Leave out the questions that only shots answer."""
        return found[: len(self.asked)]


@dataclass(slots=True)
class Draw:
    """What a judgement is drawn with.

    Attributes:
        language: Its language.
        split: What is held out.
        random: Where it comes from.
        layout: How a list of sensors is written; None for any.
        simple: Whether states are short and questions easy.
    """

    language: Language
    split: Split
    random: Random
    layout: Layout | None = None
    simple: bool = False
    _meanings: dict[str, str] = field(default_factory=dict)

    @property
    def words(self) -> DecisionWords:
        """The words of decisions."""
        return decision_words(self.language)

    def chance(self, share: float) -> bool:
        """Return True that often."""
        return self.random.random() < share

    def one(self, options: Sequence[str]) -> str:
        """Return one of some words."""
        return self.random.choice(options)

    def label(self, names: Sequence[str]) -> str:
        """Return one of some names for the same, and keep another one for what it means."""
        label, *others = self.random.sample(names, min(2, len(names)))
        self._meanings[label.lower()] = (others or [label])[0]
        return label

    def phrasing(self, phrasings: Phrasings, slots: Mapping[str, str]) -> str:
        """Return one of some phrasings, filled; a held-out one if the split has new phrasings."""
        new = self.split.holds_out(Part.PHRASING) and phrasings.held_out
        lines = phrasings.held_out if new else phrasings.train
        return fill(choose_alternatives(self.random.choice(lines), self.random), slots)

    def room(self) -> str:
        """Return a room."""
        return draw_room(self.language, self.random, held_out=self.split.holds_out(Part.ROOM))

    def rooms(self, count: int) -> list[str]:
        """Return different rooms."""
        rooms: dict[str, None] = {}
        while len(rooms) < count:
            rooms[self.room().lower()] = None
        return list(rooms)

    def place(self, room: str) -> dict[str, str]:
        """Return the slots of a room."""
        return {
            "room": room,
            "the_room": with_article(room) if self.language is Language.ENGLISH else room,
            "name": self.name(),
            "a": str(self.random.randint(2, 59)),
            "b": str(self.random.randint(2, 99)),
            "low": str(self.random.randint(1, 12)),
        }

    def name(self) -> str:
        """Return a person's name."""
        return self.one(words_of(self.language).rooms.owners)

    def ask(self, group: str, slots: Mapping[str, str]) -> str:
        """Return the text of a question."""
        text = self.phrasing(self.words.asked[group], slots)
        if self.language is Language.CHINESE:
            return f"{text}？" if self.chance(_MARK_SHARE) else text
        text = text[:1].upper() + text[1:]
        return f"{text}?" if text[-1].isalnum() and self.chance(_MARK_SHARE) else text

    def choice(self, group: str, right: str, wrong: Iterable[str], slots: Mapping[str, str]) -> Asked | None:
        """Return a question with some of the wrong options; None if there is none."""
        others = list(dict.fromkeys(each.lower() for each in wrong if each.lower() != right.lower()))
        if not others:
            return None
        self.random.shuffle(others)
        counts = (1, 2, 2, 3) if self.simple else (1, 2, 2, 3, 3, 4, 4, 5, 6, _MOST_OPTIONS - 1)
        count = self.random.choice(counts)
        options = [right.lower(), *others[:count]]
        self.random.shuffle(options)
        at = options.index(right.lower())
        notes: tuple[str, ...] = ()
        if self.chance(_NOTES_SHARE) and all(each in self._meanings for each in options):
            notes = tuple(self._meanings[each] for each in options)
        return Asked(group.partition("_")[0], Kind.CHOICE, self.ask(group, slots), tuple(options), at, notes)

    def yes_no(self, group: str, slots: Mapping[str, str], *, yes: bool) -> Asked:
        """Return a question of yes or no."""
        notes = ()
        if self.chance(_YES_NOTES_SHARE):
            notes = tuple(self.random.choice(self.words.other["answers"]))
        text = self.ask(group, slots)
        return Asked(group.partition("_")[0], Kind.YES_NO, text, YES_NO, 0 if yes else 1, notes)

    def score(
        self, group: str, options: Sequence[str], right: int, slots: Mapping[str, str], *, note: str = ""
    ) -> Asked:
        """Return a question for a level or a number.

        Args:
            group: What is asked.
            options: From low to high.
            right: The number of the right one.
            slots: Of the question.
            note: What follows the question.
        """
        text = self.ask(group, slots) + note
        return Asked(
            group.partition("_")[0], Kind.SCORE, text, tuple(option.lower() for option in options), right
        )

    def judge(self, state: str, asked: Iterable[Asked | None]) -> Judgement:
        """Return a judgement."""
        return Judgement(self.language, state, tuple(each for each in asked if each is not None))


def unanswerable(judgement: Judgement, random: Random) -> Judgement:
    """Return the same questions about nothing, each with any answer: so none is likelier than another."""
    asked = tuple(replace(each, right=random.randrange(len(each.options))) for each in judgement.asked)
    return replace(judgement, state="N/A", asked=asked)
