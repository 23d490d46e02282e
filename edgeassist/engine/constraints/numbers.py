"""Bounds of numbers that hold for every reader, whatever it keeps numbers in.

llguidance compares digits, a client doubles: 0.10000000000000000001 is over 0.1 for the one and not for the
other. So a bound is moved inwards to 15 digits, which both keep, and a value that has more is refused.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from edgeassist.engine.constraints.documents import Json, number_of
from edgeassist.engine.constraints.refusals import Refusal

MAX_EXACT = 2**53
MAX_MULTIPLE = 10_000
_FRACTIONS = (0.5, 0.25, 0.125)
_DIGITS = 15
_SMALLEST = Decimal(1).scaleb(-_DIGITS)
_WIDE = Context(prec=400)
# llguidance multiplies what is merged in 32 bits.
_MAX_PRODUCT = 2**32


def is_exact(value: float) -> bool:
    """Return whether every reader takes the number for the same."""
    if isinstance(value, int):
        return abs(value) <= MAX_EXACT
    if not math.isfinite(value) or abs(value) > MAX_EXACT:
        return False
    digits = Decimal(repr(value)).normalize()
    return len(digits.as_tuple().digits) <= _DIGITS and digits == digits.quantize(_SMALLEST, context=_WIDE)


def bounds(schema: dict[str, Json], *, whole: bool) -> dict[str, Json]:
    """Return `minimum` and `maximum` for what the four keywords of a schema allow.

    Args:
        schema: Whose keywords these are.
        whole: Only whole numbers are allowed.
    """
    lower = max(
        (_lower(schema, key, whole=whole) for key in ("minimum", "exclusiveMinimum") if key in schema),
        default=None,
    )
    upper = max(
        (_lower(schema, key, whole=whole) for key in ("maximum", "exclusiveMaximum") if key in schema),
        default=None,
    )
    found: dict[str, Json] = {}
    if lower is not None:
        if lower > MAX_EXACT:
            raise Refusal(f"a bound beyond 2^53 ({MAX_EXACT:,}) is not enforced here")
        found["minimum"] = _plain(max(lower, Decimal(-MAX_EXACT)))
    if upper is not None:
        if upper > MAX_EXACT:
            raise Refusal(f"a bound beyond -2^53 (-{MAX_EXACT:,}) is not enforced here")
        found["maximum"] = _plain(-max(upper, Decimal(-MAX_EXACT)))
    return found


def _lower(schema: dict[str, Json], key: str, *, whole: bool) -> Decimal:
    """Return the least number that a lower bound allows; for an upper one, of the opposites."""
    value = number_of(schema[key])
    if value is None:
        raise Refusal(f"'{key}' takes a number")
    exact = Decimal(repr(value))
    if key.endswith("aximum"):
        exact = -exact
    if abs(exact) > MAX_EXACT:
        return exact
    excluded = key.startswith("exclusive")
    if whole:
        return (
            exact.to_integral_value(ROUND_FLOOR) + 1 if excluded else exact.to_integral_value(ROUND_CEILING)
        )
    digits = Context(prec=_DIGITS, rounding=ROUND_CEILING)
    least = digits.plus(exact)
    if excluded and least == exact:
        least = digits.next_plus(exact)
    return least.quantize(_SMALLEST, ROUND_CEILING, _WIDE) if abs(least) < 1 else least


def _plain(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def multiple(value: Json) -> float:
    """Return what `multipleOf` takes.

    Raises:
        Refusal: It is none that holds for every reader.
    """
    number = number_of(value)
    if number is None or number <= 0:
        raise Refusal("'multipleOf' takes a number above 0")
    if number not in _FRACTIONS and not (number <= MAX_MULTIPLE and float(number).is_integer()):
        raise Refusal(
            f"'multipleOf' is enforced for whole numbers up to {MAX_MULTIPLE:,}, 0.5, 0.25 and 0.125 "
            "(0.3 is no multiple of 0.1 to readers that count in doubles)"
        )
    return float(number)


def check_together(multiples: list[float]) -> None:
    """Check that all `multipleOf` of a schema can be merged.

    Raises:
        Refusal: They can't.
    """
    scale = 1000 if any(not multiple.is_integer() for multiple in multiples) else 1
    scaled = [round(multiple * scale) for multiple in multiples]
    if scaled and math.lcm(*scaled) * max(scaled) >= _MAX_PRODUCT:
        raise Refusal("all its 'multipleOf' together are too large")
