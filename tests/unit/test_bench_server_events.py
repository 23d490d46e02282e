"""llama-server's event stream; the lines are recorded from a real one (llama.cpp 0.5.0-dev)."""

from __future__ import annotations

import pytest

from edgeassist.bench.server_events import Counts, Delta, Stopped, read_line
from edgeassist.errors import ModelError

HEAD = '"created":1795631244,"id":"chatcmpl-qKdUhR4cdOFfAngKDZrB1R01Hqtl2zNr","model":"trial.gguf"'
TAIL = f'{HEAD},"system_fingerprint":"b0-unknown","object":"chat.completion.chunk"'
ROLE = (
    'data: {"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],'
    f"{TAIL}}}"
)
WORD = f'data: {{"choices":[{{"finish_reason":null,"index":0,"delta":{{"content":" them"}}}}],{TAIL}}}'
STOPPED = f'data: {{"choices":[{{"finish_reason":"length","index":0,"delta":{{}}}}],{TAIL}}}'
USAGE = (
    f'data: {{"choices":[],{TAIL},"usage":{{"completion_tokens":4,"prompt_tokens":27,"total_tokens":31,'
    '"prompt_tokens_details":{"cached_tokens":3}},"timings":{"cache_n":3,"prompt_n":24,"prompt_ms":1.073,'
    '"predicted_n":4,"predicted_ms":0.944,"predicted_per_second":3177.9661016949153}}'
)


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (ROLE, None),
        (WORD, Delta(" them")),
        (STOPPED, Stopped(by_itself=False)),
        (STOPPED.replace("length", "stop"), Stopped(by_itself=True)),
        (USAGE, Counts(prompt=27, cached=3, completion=4)),
        ("data: [DONE]", None),
        ("", None),
        (": keep-alive", None),
    ],
)
def test_each_line_says_one_thing_or_nothing_new(line: str, event: object) -> None:
    assert read_line(line) == event


def test_a_server_that_does_not_tell_what_it_had_cached_is_believed() -> None:
    line = USAGE.replace(',"prompt_tokens_details":{"cached_tokens":3}', "")
    assert read_line(line) == Counts(prompt=27, cached=None, completion=4)


@pytest.mark.parametrize(
    "line",
    [
        'data: {"error":{"code":400,"message":"the request exceeds the context","type":"exceed"}}',
        'error: {"code":400,"message":"the request exceeds the context"}',
    ],
)
def test_an_error_in_the_stream_is_told_in_the_servers_words(line: str) -> None:
    with pytest.raises(ModelError, match="the request exceeds the context"):
        read_line(line)


@pytest.mark.parametrize("line", ["data: {", "data: []", 'data: {"choices":[{"delta":null}]}', "data: {}"])
def test_what_can_not_be_read_is_told(line: str) -> None:
    with pytest.raises(ModelError, match="can't read what it streams"):
        read_line(line)
