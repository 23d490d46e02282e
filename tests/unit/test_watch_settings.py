from __future__ import annotations

import json
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest

from edgeassist.daemon.wiring import watches_of
from edgeassist.errors import ConfigurationError, ExitStatus
from edgeassist.settings import Loaded, Settings, load_settings
from edgeassist.settings.reload import LiveRoom, reload
from edgeassist.watching.options import MAX_INPUTS, MAX_WATCHES

TEXT = """
[device]
name = "box"
[[watch]]
name = "laundry"
topics = [
  "home/door",
  { topic = "home/+/power", json_path = "$.power", label = "watts", keep = 10, step = 0.5 },
]
instructions = "Judge."
threshold = 0.3
interval_s = 20
dwell_s = 60
hysteresis = 0.1
stale_s = 900
[watch.questions.done]
type = "yes_no"
instructions = "Done?"
[watch.questions.load]
type = "score"
instructions = "How heavy?"
minimum = 0
maximum = 10
[[watch.examples]]
state = { watts = 3 }
answers = { done = "yes", load = 0 }
[[watch]]
name = "other"
topics = ["secret-topic"]
questions = { room = { type = "choice", instructions = "Which?", criteria = ["a", "b"] } }
"""


def load(tmp_path: Path, text: str = TEXT) -> Loaded:
    file = tmp_path / "edgeassist.toml"
    file.write_text(text)
    return load_settings(file, environ={})


def problem(tmp_path: Path, old: str, new: str) -> str:
    assert old in TEXT
    with pytest.raises(ConfigurationError) as refusal:
        load(tmp_path, TEXT.replace(old, new, 1))
    assert refusal.value.exit_status is ExitStatus.CONFIGURATION
    return refusal.value.message


def test_watches_become_plain_values(tmp_path: Path) -> None:
    one, other = watches_of(load(tmp_path).settings).watches
    assert [astuple(each) for each in one.inputs] == [
        ("home/door", None, None, 1, None),
        ("home/+/power", "$.power", "watts", 10, 0.5),
    ]
    assert (one.name, one.instructions, one.threshold) == ("laundry", "Judge.", 0.3)
    assert (one.interval_s, one.dwell_s, one.hysteresis, one.stale_s) == (20, 60, 0.1, 900)
    assert one.questions["load"].options == tuple(map(str, range(11)))
    assert one.examples[0].answers == {"done": "yes", "load": 0}
    assert (other.name, other.interval_s, other.dwell_s, other.stale_s) == ("other", 30, 0, 3600)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"home/door"', '"home/#/x"', "watch 'laundry' (file {file}): topics.0.topic: is no topic filter"),
        ('"home/door"', '"$share/g/a"', "topics.0.topic: is a shared filter"),
        ('"home/door"', '""', "topics.0.topic: is no topic filter"),
        ('"home/door"', "5", "topics.0: "),
        ('"$.power"', '"$.a["', "topics.1.json_path: is no JSONPath: unexpected end of query"),
        ('"$.power"', '"power"', "topics.1.json_path: a JSONPath begins with $, such as $.power"),
        ("keep = 10", "keep = 65", "topics.1.keep: "),
        ("keep = 10", "last = 10", "unknown setting topics.1.last: there is topic, json_path, label, keep"),
        ('"laundry"', '"a/b"', "watch 1 (file {file}): name: must be 1 to 64 of A-Z a-z 0-9 _ -"),
        ('"laundry"', '"other"', "watch: two are named 'other'"),
        ('name = "laundry"', "", "watch 1 (file {file}): name: Field required"),
        ("interval_s = 20", "every = 20", "unknown setting every: there is name, topics, questions"),
        ("interval_s = 20", "interval_s = 0", "interval_s: "),
        ("stale_s = 900", "stale_s = 30", "stale_s must not be less than interval_s or dwell_s"),
        ('"yes_no"', '"yesno"', "questions.done.type: "),
        ("minimum = 0", "lowest = 0", "unknown setting questions.load.lowest: there is type, instructions"),
        ("maximum = 10", "maximum = 100", "questions.load: has 101 steps"),
        ('criteria = ["a", "b"]', 'criteria = ["a", "A"]', "watch 'other' (file {file}): questions.room: "),
        ('criteria = ["a", "b"]', 'criteria = ["a", "a"]', "has an option twice"),
        ('criteria = ["a", "b"]', 'criteria = "a,b"', "questions.room.criteria: must be a list of texts"),
        ('topics = ["secret-topic"]', "topics = []", "topics: must be at least one"),
        ("[watch.questions.done]", "[[watch.questions]]", "questions: must be a table"),
        ("questions = { room", 'questions = { "the room"', "a question's name must be 1 to 64 of"),
        ('"yes", load = 0', '"yes", load = 11', "'11' is none of its options"),
        ('label = "watts"', 'label = "home/door"', "give each a label of its own"),
        ('"home/door"', '"edgeassist/box/#"', "topics.0 matches this device's own topics, edgeassist/box/…"),
        ('"home/door"', '"edgeassist/box/watch/laundry"', "its answers would be its next question"),
        ('"home/door"', '"edgeassist/+/status"', "matches this device's own topics"),
        ('"home/door"', '"+/box/health"', "matches this device's own topics"),
        ('"home/door"', '"#"', "matches this device's own topics"),
        ('"home/door"', '"homeassistant/#"', "where devices announce themselves, homeassistant/device/…"),
        ('"home/door"', '"home/x/+"', "'laundry': topics.0 and 'laundry': topics.1 overlap"),
    ],
)
def test_what_can_not_be_is_told_with_the_watch_and_the_place(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert words.format(file=tmp_path / "edgeassist.toml") in problem(tmp_path, old, new)


def test_a_topic_that_can_not_be_watched_is_the_only_thing_that_is_told(tmp_path: Path) -> None:
    told = problem(tmp_path, '["secret-topic"]', '[{ topic = "a", json_path = "power" }]')
    assert len(told.splitlines()) == 1


def test_a_table_where_a_list_belongs_is_told_how_to_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"is a list: write \[\[watch\]\] above each"):
        load(tmp_path, '[watch]\nname = "x"')


@pytest.mark.parametrize("topic", ["home/x/+", "+/x/power"])
def test_filters_may_overlap_where_a_message_that_comes_twice_makes_no_difference(
    tmp_path: Path, topic: str
) -> None:
    text = TEXT.replace('"home/door"', f'"{topic}"').replace("keep = 10", "keep = 1")
    assert len(load(tmp_path, text).settings.watch) == 2


@pytest.mark.parametrize(
    "topic", ["edgeassist/other/#", "$SYS/#", "homeassistant/sensor/#", "home/#", "房子/+/温度"]
)
def test_topics_of_others_may_be_watched(tmp_path: Path, topic: str) -> None:
    assert load(tmp_path, TEXT.replace('"home/door"', f'"{topic}"')).settings.watch


def watches(count: int, topics: int = 1) -> str:
    each = {
        "topics": [f"t{number}" for number in range(topics)],
        "questions": {"q": {"type": "yes_no", "instructions": "?"}},
    }
    return json.dumps([{"name": f"w{number}", **each} for number in range(count)])


def test_there_may_be_only_so_many_watches_and_topics() -> None:
    def load_json(text: str) -> Settings:
        return load_settings(environ={"EDGEASSIST_WATCH": text}).settings

    assert len(load_json(watches(MAX_WATCHES, MAX_INPUTS)).watch) == MAX_WATCHES
    with pytest.raises(ConfigurationError, match=f"at most {MAX_WATCHES} items"):
        load_json(watches(MAX_WATCHES + 1))
    with pytest.raises(ConfigurationError, match=f"topics: .*at most {MAX_INPUTS} items"):
        load_json(watches(1, MAX_INPUTS + 1))
    with pytest.raises(ConfigurationError, match="takes 1 to 32 questions, not 0"):
        load_json('[{"name": "x", "topics": ["a"], "questions": {}}]')
    with pytest.raises(ConfigurationError, match="EDGEASSIST_WATCH__X: the form is"):
        load_settings(environ={"EDGEASSIST_WATCH__X": "1"})


def test_a_watchs_topics_are_shown_nowhere_but_where_they_are_asked_for(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    shown = json.dumps(loaded.settings.public())
    for text in (shown, repr(loaded), str(loaded.settings.watch), repr(watches_of(loaded.settings))):
        assert "secret-topic" not in text
        assert "home/door" not in text
    assert loaded.settings.public()["watch"][1]["topics"][0]["topic"] == "**********"
    assert loaded.settings.public()["watch"][1]["name"] == "other"
    assert loaded.origins["watch"] == f"file {tmp_path / 'edgeassist.toml'}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"secret-topic"', '"secret-topic/#/x"'),
        ('"secret-topic"', '"secret-topic", "secret-topic"'),
        ('"secret-topic"', '"edgeassist/box/secret-topic"'),
        ('"secret-topic"', '{ topic = ["secret-topic"] }'),
        ('"secret-topic"', '{ topic = "secret-topic", keep = 100 }'),
    ],
)
def test_no_error_repeats_a_topic(tmp_path: Path, old: str, new: str) -> None:
    assert "secret-topic" not in problem(tmp_path, old, new)


def test_a_reload_gives_the_watches_that_changed(tmp_path: Path) -> None:
    old = load(tmp_path).settings
    new = load(tmp_path, TEXT.replace("secret-topic", "other-topic")).settings
    given: list[Any] = []
    reloaded = reload(old, new, [LiveRoom(watches_of, given.append)])
    assert (reloaded.applied, reloaded.restart_needed) == (["watch"], [])
    assert given[0].watches[1].inputs[0].filter == "other-topic"
    assert reloaded.settings == new
    assert reload(old, load(tmp_path).settings, [LiveRoom(watches_of, given.append)]).applied == []
