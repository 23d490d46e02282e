"""What happens to answers when processes die, hang, stop, and when the broker goes away."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil

from edgeassist.client.answers import AnyEvent
from edgeassist.protocol.events import Chunk, Done, Failed
from edgeassist.sandbox import PrivateBroker, PrivateDaemon
from tests.conftest import AsyncConnect, StartDaemon, StartReady, expect_done, expect_failed
from tests.patience import PATIENCE_S

SLOW = "!script repeat=400 delay_ms=20\nslowly "


def engine_of(daemon: PrivateDaemon) -> psutil.Process:
    children = psutil.Process(daemon.pid).children()
    return next(child for child in children if "edgeassist.engine" in child.cmdline())


async def first_chunk(events: AsyncIterator[AnyEvent]) -> Chunk:
    async for event in events:
        if isinstance(event, Chunk):
            return event
    raise AssertionError("the answer ended without a chunk")


async def last(events: AsyncIterator[AnyEvent]) -> AnyEvent:
    return [event async for event in events][-1]


async def until(condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_killed_engine_ends_its_stream_and_what_was_queued_is_answered(
    ready: StartReady, connect: AsyncConnect
) -> None:
    daemon, client = await ready()
    wire = await connect.wire("edgeassist/box/health")
    running = client.ask(SLOW)
    await first_chunk(running)
    queued = asyncio.create_task(client.answer("next"), name="queued")
    await asyncio.sleep(0.2)
    os.kill(engine_of(daemon).pid, signal.SIGKILL)
    failed = expect_failed(await last(running))
    assert (failed.code, failed.retryable) == ("engine_crashed", True)
    assert "SIGKILL" in failed.message
    assert failed.text.startswith("slowly")
    assert (await queued).text == "next"
    assert daemon.poll() is None
    news = await wire.until(lambda message: json.loads(message.payload)["engine_restarts"] == 1)
    assert json.loads(news.payload)["mqtt_reconnects"] == 0


async def test_a_request_that_had_not_begun_to_stream_survives_the_engine(ready: StartReady) -> None:
    daemon, client = await ready()
    answer = asyncio.create_task(client.answer("!script prefill_ms=100\nhello again"), name="answer")
    await asyncio.sleep(0.4)
    os.kill(engine_of(daemon).pid, signal.SIGKILL)
    assert (await answer).text == "hello again"


async def test_an_answer_that_had_begun_begins_anew_where_it_asks_for_that(ready: StartReady) -> None:
    daemon, client = await ready()
    prompt = "!script delay_ms=20\n" + "".join(f"{number} " for number in range(100))
    running = client.ask(prompt, on_crash="rerun")
    shown = (await first_chunk(running)).text
    os.kill(engine_of(daemon).pid, signal.SIGKILL)
    events = [event async for event in running]
    # The same text goes on where it broke, and its client sees that it waits again.
    assert "accepted" in [event.type for event in events]
    shown += "".join(event.text for event in events if isinstance(event, Chunk))
    assert shown == expect_done(events[-1]).text == prompt.partition("\n")[2]


async def test_an_answer_that_ends_each_engine_begins_anew_a_few_times_only(ready: StartReady) -> None:
    _, client = await ready()
    failed = expect_failed(
        await client.answer("!script crash_after=3 delay_ms=100\npoison", on_crash="rerun")
    )
    assert failed.code == "engine_crashed"
    assert isinstance(await client.answer("fine"), Done)


async def test_a_prompt_that_kills_every_engine_is_given_up(ready: StartReady) -> None:
    _, client = await ready()
    failed = expect_failed(await client.answer("!script crash_after=1\npoison"))
    assert failed.code == "engine_crashed"
    assert isinstance(await client.answer("fine"), Done)


async def test_a_prompt_that_ends_the_engine_while_it_is_encoded_ends_one_engine_only(
    ready: StartReady, connect: AsyncConnect
) -> None:
    _, client = await ready()
    wire = await connect.wire("edgeassist/box/health")
    failed = expect_failed(await client.answer("!script encode_crash=1\n" + "word " * 2000))
    assert (failed.code, failed.retryable) == ("engine_crashed", False)
    assert isinstance(await client.answer("fine"), Done)
    news = await wire.until(lambda message: json.loads(message.payload)["engine_restarts"])
    assert json.loads(news.payload)["engine_restarts"] == 1


async def test_a_hung_engine_is_replaced(ready: StartReady) -> None:
    daemon, client = await ready(engine__stall_timeout_s=5)
    events = client.ask(SLOW)
    await first_chunk(events)
    os.kill(engine_of(daemon).pid, signal.SIGSTOP)
    failed = expect_failed(await last(events))
    assert failed.code == "engine_crashed"
    assert "no progress" in failed.message
    assert isinstance(await client.answer("again"), Done)


async def test_a_step_that_fails_ends_its_request_and_nothing_else(ready: StartReady) -> None:
    daemon, client = await ready()
    engine = engine_of(daemon).pid
    failed = expect_failed(await client.answer("!script fail_after=2\nbreak here"))
    assert failed.code == "internal"
    assert isinstance(await client.answer("fine"), Done)
    assert engine_of(daemon).pid == engine


async def test_without_memory_the_kernel_takes_the_engine_and_not_the_daemon(ready: StartReady) -> None:
    daemon, _ = await ready()
    badness = [int(Path(f"/proc/{pid}/oom_score").read_text()) for pid in (engine_of(daemon).pid, daemon.pid)]
    assert badness[0] > badness[1] + 200


async def test_a_killed_daemon_is_reported_offline_and_leaves_no_engine(
    ready: StartReady, connect: AsyncConnect
) -> None:
    daemon, client = await ready()
    wire = await connect.wire("edgeassist/box/status")
    events = client.ask(SLOW)
    await first_chunk(events)
    engine = engine_of(daemon)
    os.kill(daemon.pid, signal.SIGKILL)
    await wire.until(lambda message: message.payload == b"offline")
    await until(lambda: not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE)


async def test_prompts_are_answered_again_after_the_broker_was_away(
    ready: StartReady, broker: PrivateBroker, connect: AsyncConnect
) -> None:
    daemon, client = await ready()
    assert isinstance(await client.answer("before"), Done)
    broker.stop()
    await asyncio.sleep(1)
    broker.start()
    assert (await client.answer("after")).text == "after"
    assert daemon.poll() is None
    health = json.loads(await (await connect()).state("edgeassist/box/health") or b"{}")
    assert health["mqtt_reconnects"] >= 1


async def test_the_daemon_starts_without_a_broker_and_loads_meanwhile(
    broker: PrivateBroker, daemon: StartDaemon, connect: AsyncConnect
) -> None:
    broker.stop()
    process = daemon()
    await until(lambda: "loaded scripted" in process.log.read_text())
    assert "nothing listens" in process.log.read_text()
    broker.start()
    client = await connect()
    assert await client.wait_health(frozenset({"ready"}), PATIENCE_S)
    assert isinstance(await client.answer("hello"), Done)


async def test_sigterm_lets_running_answers_end_and_what_waits_is_answered_by_the_next_start(
    ready: StartReady, connect: AsyncConnect
) -> None:
    daemon, client = await ready(daemon__drain_s=10, engine__slots=1, engine__speculate=False)
    wire = await connect.wire("edgeassist/box/status")
    running = client.ask("!script repeat=200 delay_ms=20\nrun ")
    await first_chunk(running)
    queued = asyncio.create_task(client.answer("queued"), name="queued")
    await asyncio.sleep(0.2)
    os.kill(daemon.pid, signal.SIGTERM)
    late = asyncio.create_task(client.answer("late"), name="late")
    assert isinstance(await last(running), Done)
    await wire.until(lambda message: message.payload == b"offline")
    await until(lambda: daemon.poll() is not None)
    assert daemon.poll() == 0
    ended = [each.result() for each in (queued, late) if each.done()]
    assert ended == [], daemon.log.read_text()
    daemon.start()
    assert [expect_done(await each).text for each in (queued, late)] == ["queued", "late"]


async def test_where_nothing_outlives_a_restart_sigterm_refuses_what_does_not_run(ready: StartReady) -> None:
    daemon, client = await ready(daemon__drain_s=10, engine__slots=1, admission__durable=False)
    running = client.ask("!script repeat=200 delay_ms=20\nrun ")
    await first_chunk(running)
    queued = asyncio.create_task(client.answer("queued"), name="queued")
    await asyncio.sleep(0.2)
    os.kill(daemon.pid, signal.SIGTERM)
    assert expect_failed(await queued).code == "shutting_down"
    assert expect_failed(await client.answer("too late")).code == "shutting_down"
    assert isinstance(await last(running), Done)


async def test_a_device_that_stops_while_its_broker_is_away_is_offline_when_the_broker_is_back(
    ready: StartReady, connect: AsyncConnect, broker: PrivateBroker
) -> None:
    daemon, _ = await ready()
    broker.stop()
    os.kill(daemon.pid, signal.SIGTERM)
    await asyncio.sleep(0.6)
    broker.start()
    await until(lambda: daemon.poll() is not None)
    wire = await connect.wire("edgeassist/box/status")
    last_word = await wire.until(lambda message: message.retained)
    assert last_word.payload == b"offline"


async def test_an_answer_longer_than_the_drain_time_gets_shutting_down(ready: StartReady) -> None:
    daemon, client = await ready(daemon__drain_s=0.3, engine__slots=1)
    running = client.ask(SLOW)
    await first_chunk(running)
    engine = engine_of(daemon)
    os.kill(daemon.pid, signal.SIGTERM)
    failed = expect_failed(await last(running))
    assert (failed.code, failed.retryable) == ("shutting_down", True)
    assert failed.text.startswith("slowly")
    await until(lambda: daemon.poll() is not None)
    assert daemon.poll() == 0
    assert not engine.is_running()


async def test_an_answer_longer_than_the_drain_time_begins_anew_with_the_next_start_where_that_is_asked_for(
    ready: StartReady,
) -> None:
    daemon, client = await ready(daemon__drain_s=0.1, engine__slots=1)
    text = "word " * 40
    running = client.ask(f"!script delay_ms=50\n{text}", on_crash="rerun")
    await first_chunk(running)
    os.kill(daemon.pid, signal.SIGTERM)
    await until(lambda: daemon.poll() is not None)
    daemon.start()
    done = await last(running)
    assert isinstance(done, Done), done
    assert done.text.split() == text.split()


async def test_cancel_ends_a_queued_a_prefilling_and_a_streaming_request(ready: StartReady) -> None:
    _, client = await ready(engine__step_tokens=8, engine__slots=1)
    streaming = client.ask(SLOW, id="stream")
    await first_chunk(streaming)
    queued = asyncio.create_task(client.answer("wait", id="wait"), name="queued")
    await asyncio.sleep(0.2)
    for request in ("wait", "stream"):
        response = await client.command("cancel", request=request)
        assert response.data == {"cancelled": 1}
    assert expect_failed(await queued).code == "cancelled"
    assert expect_failed(await last(streaming)).code == "cancelled"

    prefilling = asyncio.create_task(
        client.answer("!script prefill_ms=100\n" + "long " * 400, id="prefill"), name="prefilling"
    )
    await asyncio.sleep(0.5)
    await client.command("cancel", all=True)
    assert expect_failed(await prefilling).code == "cancelled"
    assert isinstance(await client.answer("free again"), Done)
    unknown = await client.command("cancel", request="nobody")
    assert unknown.error is not None
    assert (unknown.status, unknown.error.code) == ("error", "invalid_request")


async def test_a_deadline_ends_a_running_and_a_queued_request(ready: StartReady) -> None:
    _, client = await ready(engine__slots=1)
    running = asyncio.create_task(client.answer(SLOW, timeout_s=0.5), name="running")
    await asyncio.sleep(0.2)
    queued = asyncio.create_task(client.answer("wait", timeout_s=0.2), name="queued")
    assert expect_failed(await queued).code == "deadline_exceeded"
    failed = expect_failed(await running)
    assert failed.code == "deadline_exceeded"
    assert failed.text
    assert isinstance(await client.answer("next"), Done)


async def test_a_full_queue_and_a_quota_are_told_with_when_to_try_again(
    ready: StartReady, connect: AsyncConnect
) -> None:
    _, client = await ready(engine__slots=1, admission__queue=3, admission__per_client=3)
    assert isinstance(await client.answer("measure"), Done)
    running = client.ask(SLOW)
    await first_chunk(running)
    mine = [asyncio.create_task(client.answer(f"mine {n}"), name="mine") for n in range(3)]
    over_quota = expect_failed(await asyncio.wait_for(asyncio.shield(mine[2]), PATIENCE_S))
    assert over_quota.code == "quota_exceeded"
    other = await connect("other")
    theirs = [asyncio.create_task(other.answer(f"theirs {n}"), name="theirs") for n in range(2)]
    busy = expect_failed(await asyncio.wait_for(asyncio.shield(theirs[1]), PATIENCE_S))
    assert busy.code == "busy"
    assert (busy.retry_after_ms or 0) >= 100
    await client.command("cancel", all=True)
    assert {expect_failed(await each).code for each in (*mine[:2], theirs[0])} == {"cancelled"}


async def test_a_request_sent_twice_is_not_run_twice(ready: StartReady, connect: AsyncConnect) -> None:
    _, client = await ready()
    wire = await connect.wire("edgeassist/box/reply/+")
    request = json.dumps({"id": "once", "prompt": "!script delay_ms=20\nonly once, please"})
    wire.say("edgeassist/box/prompt", request, qos=1)
    wire.say("edgeassist/box/prompt", request, qos=1)
    await wire.answer()
    seqs = [json.loads(message.payload)["seq"] for message in wire.heard]
    assert seqs == list(range(len(seqs)))
    wire.heard.clear()
    wire.say("edgeassist/box/prompt", request, qos=1)
    again = await wire.answer()
    assert (again["type"], len(wire.heard)) == ("done", 1)
    assert (await client.command("ping")).status == "ok"


async def test_an_id_belongs_to_its_client_and_is_refused_to_another_request_of_it(
    ready: StartReady, connect: AsyncConnect
) -> None:
    _, client = await ready(engine__slots=2)
    running = client.ask(SLOW, id="mine")
    await first_chunk(running)
    other = await connect("other")
    assert isinstance(await other.answer("not theirs", id="mine"), Done)
    refused = await connect.wire("reply/refused")
    topic = client.topics.prompt(client.name)
    refused.say(topic, json.dumps({"id": "mine", "prompt": "else", "reply_to": "reply/refused"}))
    answer = await refused.answer()
    assert (answer["code"], "'mine'" in answer["message"]) == ("invalid_request", True)
    await client.command("cancel", all=True)
    assert isinstance(await last(running), Failed)


async def test_ping_answers_while_the_engine_prefills(ready: StartReady) -> None:
    _, client = await ready()
    answer = asyncio.create_task(client.answer("!script prefill_ms=20\n" + "x" * 800), name="answer")
    await asyncio.sleep(0.2)
    assert ((await client.command("ping")).data or {})["state"] == "busy"
    await client.command("cancel", all=True)
    assert expect_failed(await answer).code == "cancelled"


async def test_reload_applies_what_can_change_and_names_what_cannot(
    daemon: StartDaemon, connect: AsyncConnect, tmp_path: Path
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[admission]\nqueue = 5\n")
    process = daemon(config=file)
    client = await connect()
    assert await client.wait_health(frozenset({"ready"}), PATIENCE_S), process.log.read_text()
    file.write_text("[model]\ncontext = 1024\n[admission]\nqueue = 1\n")
    response = await client.command("reload")
    assert response.data == {"applied": ["admission.queue"], "restart_needed": ["model.context"]}
    file.write_text("[model]\ncolour = 1\n")
    response = await client.command("reload")
    assert response.error is not None
    assert (response.status, "colour" in response.error.message) == ("error", True)
    os.kill(process.pid, signal.SIGHUP)
    await until(lambda: "the settings stay as they were" in process.log.read_text())
    assert isinstance(await client.answer("still here"), Done)
