"""What makes the scores of models honest, by model: it was fitted to our cases."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

from edgeassist.protocol.calibration import INSTRUCTIONS, PRIOR, UNCALIBRATED, Calibration

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


def calibration_for(name: str) -> Calibration:
    """Return the calibration of a model by its name (`ModelFacts.name`), however it is quantized."""
    return _table().get(key_of(name), UNCALIBRATED)


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
