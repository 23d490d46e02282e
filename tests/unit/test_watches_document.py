"""docs/watches.md has all settings, with their defaults and bounds, and examples that can be."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from edgeassist.daemon.wiring import watches_of
from edgeassist.settings import load_settings
from edgeassist.settings.watches import WatchSettings, WatchTopicSettings
from edgeassist.watching.inputs import MAX_BYTES, MAX_PAYLOAD_BYTES, MAX_TOPICS
from edgeassist.watching.options import MAX_INPUTS, MAX_KEEP, MAX_WATCHES, InputOptions, WatchOptions
from edgeassist.watching.watch import FIRST_RETRY_S, GATHER_S, MAX_RETRY_S, Watch

PAGE = (Path(__file__).parents[2] / "docs" / "watches.md").read_text()
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
ROWS = re.findall(r"^\| `(\w+)`((?:, `\w+`)*) \|([^|]*)\|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_is_a_watch_that_can_be(text: str, tmp_path: Path) -> None:
    file = tmp_path / "edgeassist.toml"
    file.write_text(text)
    (watch,) = watches_of(load_settings(file, environ={}).settings).watches
    assert Watch(watch).next_wake() is None


def test_the_tables_have_every_key_with_its_default() -> None:
    shown = {
        name: default.strip() for first, more, default in ROWS for name in re.findall(r"\w+", first + more)
    }
    for kind in (WatchSettings, WatchTopicSettings):
        for name, field in kind.model_fields.items():
            numbers = isinstance(field.default, int | float)
            assert shown[name] == str(field.default) if numbers else name in shown


def test_the_page_has_the_bounds_that_hold() -> None:
    text = " ".join(PAGE.split())
    for words in (
        f"at most {MAX_WATCHES}",
        f"1 to {MAX_INPUTS}: topics",
        f"1 to {MAX_KEEP};",
        f"{MAX_TOPICS} topics",
        f"{MAX_BYTES >> 10} KiB",
        f"{MAX_PAYLOAD_BYTES:,} bytes",
        f"after {FIRST_RETRY_S:g} s",
        f"up to {MAX_RETRY_S / 60:g} minutes",
    ):
        assert words in text
    assert GATHER_S == 0.25
    assert "a quarter of a second later" in text


def test_the_states_on_the_page_are_what_a_model_reads() -> None:
    rows = re.findall(r"^\| `(\[.*?\])` \| `(.*?)` \|", PAGE, re.MULTILINE)
    heard = {
        "door": ["open"],
        "meter": ['{"power": 412}', '{"power": 388}', '{"power": 3}'],
        "home/kitchen/motion": ["on"],
        "home/bath/motion": ["off"],
    }
    assert len(rows) == 4
    for topics, state in rows:
        read = tomllib.loads(f"topics = {topics}")["topics"]
        tables: list[dict[str, Any]] = [{"topic": each} if isinstance(each, str) else each for each in read]
        inputs = tuple(
            InputOptions(each["topic"], each.get("json_path"), each.get("label"), each.get("keep", 1))
            for each in tables
        )
        question = WatchSettings.model_validate(
            {
                "name": "x",
                "topics": ["t"],
                "questions": {"q": {"type": "yes_no", "instructions": "?"}},
            }
        ).questions
        watch = Watch(WatchOptions("x", inputs, question))
        for index, each in enumerate(inputs):
            for topic, payloads in heard.items():
                if topic == each.filter or (each.filter.startswith("home") and topic.startswith("home")):
                    for payload in payloads:
                        watch.hear(index, topic, payload.encode(), 0.0)
        asked = watch.turn(1.0)
        assert asked is not None
        assert asked.state == json.loads(state)
