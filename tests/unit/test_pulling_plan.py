"""What servers say of the files that are to be got."""

from __future__ import annotations

from typing import Any

import pytest

from edgeassist.models.pulling.plan import size_or_none


@pytest.mark.parametrize(
    ("said", "size"),
    [(0, 0), (491_400_064, 491_400_064), ((1 << 63) - 1, (1 << 63) - 1)]
    + [(each, None) for each in (None, -1, 1.5, "7", [7], 1 << 63, 10**400)],
)
def test_a_size_is_one_that_a_file_can_have(said: Any, size: int | None) -> None:
    assert size_or_none(said) == size
