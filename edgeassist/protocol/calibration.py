"""What makes the scores of a model honest: by what they are divided, and what is taken off them."""

from __future__ import annotations

from dataclasses import dataclass

from edgeassist.protocol.decisions import Kind

# Where the two likeliest options are less apart, an answer abstains, with a model that was not evaluated.
THRESHOLD = 0.2
# Measured with Qwen2.5-Coder-0.5B-Instruct on the cases to fit to: fewer choices are right with less of it.
PRIOR = 1.0
# What a model is told before a decision whose request says nothing itself. It costs nothing: all share it.
INSTRUCTIONS = "You judge what is described. Answer with one of the options only."


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a model's decisions go by; by default that of one which was not evaluated.

    Attributes:
        choice: The temperature by which the scores of a choice are divided; above 1 it makes less sure.
        score: Of a score.
        yes_no: Of a question of yes or no.
        threshold: With a smaller margin an answer abstains, 0 to 1.
        prior: How much of what the model picks without a state is taken off the scores of a choice, 0 to 1.
        instructions: What it is told where a request says nothing itself.
    """

    choice: float = 1.0
    score: float = 1.0
    yes_no: float = 1.0
    threshold: float = THRESHOLD
    prior: float = PRIOR
    instructions: str = INSTRUCTIONS

    def temperature(self, kind: Kind) -> float:
        """Return that of a kind of question."""
        return {Kind.CHOICE: self.choice, Kind.SCORE: self.score, Kind.YES_NO: self.yes_no}[kind]


UNCALIBRATED = Calibration()
