"""What makes the scores of models honest, by model: it was fitted to our cases."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

# Where the two likeliest options are less apart, an answer abstains, with a model that is not in the table.
THRESHOLD = 0.2
# Measured with Qwen2.5-Coder-0.5B-Instruct on the cases to fit to: fewer answers are right with all of it
# taken off, and with none.
PRIOR = 0.75
# What a model is told before a decision whose request says nothing itself. It costs nothing: all share it.
INSTRUCTIONS = "You judge what is described. Answer with one of the options only."
# What a name says of a file and not of the model: its type, its part of several, how it was quantized.
_OF_A_FILE = re.compile(
    r"""
    \.gguf$ | -\d{5}-of-\d{5}
    | (?<![a-z0-9]) (?:
        i?q\d+ (?:_(?:[01ks]|nl|xxs|xs|s|m|l|xl))*
        | tq\d_\d | mxfp4 | bf16 | fp?(?:8|16|32) | u?int[48] | awq | gptq | imatrix | gguf | onnx | cpu | qat
    ) (?![a-z0-9])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Calibration:
    """By what a model's scores are divided before they become probabilities, and where it should abstain.

    Attributes:
        choice: The temperature of choices.
        score: That of scores.
        yes_no: That of yes or no.
        threshold: The least margin of an answer that should be gone by.
        prior: How much of what it answers without a state is taken off its scores, 0 to 1.
        instructions: What it is told by default.
    """

    choice: float = 1.0
    score: float = 1.0
    yes_no: float = 1.0
    threshold: float = THRESHOLD
    prior: float = PRIOR
    instructions: str = INSTRUCTIONS


def calibration_for(name: str) -> Calibration:
    """Return the calibration of a model by its name (`ModelFacts.name`), however it is quantized."""
    return _table().get(key_of(name), Calibration())


def key_of(name: str) -> str:
    """Return what names of the same model have in common: letters and digits, without those of its file."""
    return re.sub(r"[^\w.]+|_", "", _OF_A_FILE.sub("", name.casefold()))


def read_table(document: dict[str, Any]) -> dict[str, Calibration]:
    """Return the calibrations of a table by `key_of` the models' names.

    Raises:
        ValueError: A model is there twice.
        KeyError: An entry lacks a temperature.
    """
    table: dict[str, Calibration] = {}
    for entry in document["models"]:
        temperatures = entry["temperatures"]
        calibration = Calibration(
            choice=temperatures["choice"],
            score=temperatures["score"],
            yes_no=temperatures["yes_no"],
            # A model that is right too seldom at any margin always abstains.
            threshold=1.0 if entry["threshold"] is None else entry["threshold"],
            prior=entry.get("prior", PRIOR),
            instructions=entry.get("instructions", INSTRUCTIONS),
        )
        for name in (entry["model"], *entry.get("also", ())):
            if key_of(name) in table:
                raise ValueError(f"{name} is there twice")
            table[key_of(name)] = calibration
    return table


@cache
def _table() -> dict[str, Calibration]:
    text = (files("edgeassist") / "assets" / "decisions" / "calibration.json").read_text("utf-8")
    return read_table(json.loads(text))
