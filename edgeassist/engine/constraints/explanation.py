"""What llguidance says when it can't compile a grammar, in words of ours."""

from __future__ import annotations

# What its message has in it, and what to tell a client; the first that fits.
_REASONS = (
    (
        "are not disjoint",
        "two patterns of 'patternProperties' may match the same name: make them differ, or merge them",
    ),
    (
        "min/maxProperties only",
        "'minProperties' and 'maxProperties' are enforced where all names in 'properties' are required",
    ),
    (
        "circular references with sibling",
        "a '$ref' beside other keywords leads back to itself: put it into a schema of its own",
    ),
    ("nsatisfiable", "no answer fulfils it"),
    ("Regex is empty", "no answer fulfils it"),
    ("stack level", "it takes too much to compile: schemas that refer to themselves can't be merged"),
)
_TOO_MUCH = "it takes too much to compile: make it smaller, or simpler"
_LIMITS = ("fuel", "too large", "too complex", "too many", "limit", "size")
_LONGEST = 200


def explain(error: str) -> str:
    """Return why a grammar is not taken, on one line.

    Args:
        error: What llguidance says, on any number of lines.
    """
    for part, reason in _REASONS:
        if part in error:
            return reason
    first = error.strip().partition("\n")[0]
    if any(part in first for part in _LIMITS):
        return _TOO_MUCH
    return "it can't be compiled: " + "".join(
        each if each.isprintable() else " " for each in first[:_LONGEST]
    )
