"""All targets, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.fuzz.target import Target


def all_targets() -> Mapping[str, Target]:
    """Return every target; importing what they parse with takes a second."""
    from tests.fuzz.targets import (  # noqa: PLC0415 - as said
        console,
        engine,
        files,
        homeassistant,
        mqtt,
        pulling,
        readers,
        shown,
    )

    found: Sequence[Target] = [
        mqtt.Mqtt(),
        *readers.targets(),
        *files.targets(),
        *engine.targets(),
        *pulling.targets(),
        *homeassistant.targets(),
        *console.targets(),
        *shown.targets(),
    ]
    return {target.name: target for target in found}
