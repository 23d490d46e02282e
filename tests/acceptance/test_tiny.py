"""What the built-in model says, in the sense of it: as a device hears it, on both backends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from edgeassist.cli.demo import HOME
from edgeassist.client.requester import Requester
from edgeassist.models.builtin import TINY
from scripts.train_tiny.dialogues.generator import Task
from scripts.train_tiny.dialogues.split import Split
from scripts.train_tiny.questions import MEASURED, Question, is_valid_action, judge, questions
from tests.conftest import TakeBox

HOME_ZH = """\
传感器:
厨房温度: 22.5 °C
卧室温度: 19 °C
卧室湿度: 48 %
客厅窗户: 开着
车库门: 锁着"""
ACTIONS = {
    "Turn on the kitchen light": '{"action":"turn_on","device":"light","room":"kitchen"}',
    "please switch off the tv in the living room": '{"action":"turn_off","device":"tv","room":"living room"}',
    "turn the kitchen lights down to 30 percent": (
        '{"action":"set","device":"light","room":"kitchen","property":"brightness","value":30}'
    ),
    "Set the heating in the office to 21.5 degrees": (
        '{"action":"set","device":"heating","room":"office","property":"temperature","value":21.5}'
    ),
    "close the blinds in the bedroom": '{"action":"close","device":"blinds","room":"bedroom"}',
    "Lock the garage door!": '{"action":"lock","device":"door","room":"garage"}',
    "turn all the lights off": '{"action":"turn_off","device":"light","room":"all"}',
    "make the bedroom lamp red": (
        '{"action":"set","device":"light","room":"bedroom","property":"color","value":"red"}'
    ),
    "把卧室的空调调到26度": (
        '{"action":"set","device":"air_conditioner","room":"卧室","property":"temperature","value":26}'
    ),
    "打开厨房的灯": '{"action":"turn_on","device":"light","room":"厨房"}',
    "请把客厅的窗帘拉上": '{"action":"close","device":"curtains","room":"客厅"}',
    "关掉所有的灯": '{"action":"turn_off","device":"light","room":"all"}',
}
READINGS = {
    HOME: {
        "How warm is the nursery?": "The nursery temperature is 19.5 °C.",
        "what is the humidity in the nursery": "The nursery humidity is 48 %.",
        "Is the bedroom window open?": "The bedroom window is open.",
        "Is the garage door locked?": "The garage door is locked.",
        "is the light on in the kitchen?": "The kitchen light is on.",
    },
    HOME_ZH: {
        "卧室多少度？": "卧室温度是19 °C。",
        "厨房的温度是多少": "厨房温度是22.5 °C。",
        "客厅的窗户开着吗？": "客厅窗户现在开着。",
        "车库的门锁着吗": "车库门现在锁着。",
    },
}
UNKNOWN = {
    HOME: {
        "How warm is the sauna?": "The sauna temperature? I don't know, there is no sensor for it.",
        "How warm is the garage?": "The garage temperature? I don't know, there is no sensor for it.",
        "Is the light on in the bedroom?": "The bedroom light? I don't know, there is no sensor for it.",
    },
    HOME_ZH: {
        "书房多少度": "书房温度我不知道，没有这个传感器。",
        "卧室的窗户关了吗": "卧室窗户我不知道，没有这个传感器。",
    },
    "": {"书房的灯开着吗": "书房灯我不知道，没有这个传感器。"},
}
ROOMS = ("kitchen", "bedroom", "living room", "office", "garage", "bathroom", "hallway", "nursery")
ROOMS_ZH = ("厨房", "卧室", "客厅", "书房", "浴室", "车库")
DEVICES_ZH = {"灯": "light", "电视": "tv", "风扇": "fan"}
# Of a hundred questions; what was measured with many more is in the model's card.
GOOD = 90
# One fewer than the card's share: another processor may round one answer otherwise.
VALID = 98
SAME = 98
# Of llama.cpp, where a step of four answers takes little more than one of one.
SLOTS = 4


@pytest.fixture(params=["llama", "onnx"])
async def tiny(request: pytest.FixtureRequest, take_box: TakeBox) -> Requester:
    """A client of the built-in model."""
    return await serving(take_box, request.param)


@pytest.fixture
async def llama(take_box: TakeBox) -> Requester:
    """A client of the built-in model on llama.cpp."""
    return await serving(take_box, "llama")


async def serving(take_box: TakeBox, backend: str) -> Requester:
    return (await take_box(model__path=TINY, model__backend=backend)).client


async def answers(client: Requester, asked: Sequence[tuple[str, str | None]]) -> list[str]:
    """Return what is answered to prompts and their system prompts; as many at a time as there are slots."""
    at_a_time = asyncio.Semaphore(SLOTS)

    async def answer(prompt: str, system: str | None) -> str:
        async with at_a_time:
            return (await client.answer(prompt, system=system, stream=False)).text

    return await asyncio.gather(*(answer(*each) for each in asked))


async def answers_to(client: Requester, asked: Sequence[Question]) -> list[str]:
    """Return the answers, as the daemon gives them to who asks for nothing in particular."""
    return await answers(client, [(each.dialogue.turns[0].user, each.dialogue.system) for each in asked])


async def test_commands_become_actions(tiny: Requester) -> None:
    said = {prompt: (await tiny.answer(prompt)).text for prompt in ACTIONS}
    assert said == ACTIONS
    assert all(is_valid_action(text) for text in said.values())


async def test_the_plainest_commands_are_understood_in_every_room(llama: Requester) -> None:
    meant = {
        f"{verb} {state} the {room} {device}": (f"turn_{state}", device, room)
        for verb in ("Turn", "switch")
        for state in ("on", "off")
        for room in ROOMS
        for device in ("light", "tv", "fan", "heating")
    }
    meant |= {
        f"{verb}{room}的{device}": (action, DEVICES_ZH[device], room)
        for verb, action in {"打开": "turn_on", "关掉": "turn_off"}.items()
        for room in ROOMS_ZH
        for device in DEVICES_ZH
    }
    right = {
        prompt: {"action": action, "device": device, "room": room}
        for prompt, (action, device, room) in meant.items()
    }
    texts = await answers(llama, [(prompt, None) for prompt in right])
    said = dict(zip(right, map(json.loads, texts), strict=True))
    wrong = {prompt: action for prompt, action in said.items() if action != right[prompt]}
    assert len(wrong) <= len(right) // 100, wrong


async def test_questions_are_answered_from_the_sensors_and_only_from_them(tiny: Requester) -> None:
    for right in (READINGS, UNKNOWN):
        said = {
            home: {prompt: (await tiny.answer(prompt, system=home)).text for prompt in prompts}
            for home, prompts in right.items()
        }
        assert said == right


async def test_it_greets_says_what_it_is_and_refuses_kindly(tiny: Requester) -> None:
    said = [
        (await tiny.answer(prompt)).text
        for prompt in ("hello", "who are you", "write a poem", "你好", "你是谁")
    ]
    assert said[0].startswith("Hello!")
    assert "EdgeAssist Tiny" in said[1]
    assert said[2].startswith("Sorry")
    assert said[3].startswith("你好")
    assert "EdgeAssist Tiny" in said[4]


@pytest.mark.parametrize("task", [Task.ACTION, Task.READING, Task.UNKNOWN])
async def test_ways_to_say_it_that_it_has_never_seen_are_understood(llama: Requester, task: Task) -> None:
    asked = list(questions(50, [Split.PHRASINGS], [task]))
    verdicts = [judge(each, text) for each, text in zip(asked, await answers_to(llama, asked), strict=True)]
    good = [verdict.honest if task is Task.UNKNOWN else verdict.exact for verdict in verdicts]
    assert sum(map(bool, good)) >= GOOD
    assert task is not Task.ACTION or sum(bool(verdict.valid) for verdict in verdicts) >= VALID


async def test_both_backends_say_the_same(take_box: TakeBox) -> None:
    asked = list(questions(2, MEASURED))
    said = [await answers_to(await serving(take_box, backend), asked) for backend in ("llama", "onnx")]
    same = sum(map(str.__eq__, *said))
    assert len(asked) > 100
    assert same >= SAME / 100 * len(asked)


@pytest.mark.parametrize("anything", ["\0", "\u200b", "🫠" * 20, "ﷺ", "<|im_end|>", "x" * 300, "ß\tÿ\r\n"])
async def test_no_input_is_impossible(llama: Requester, anything: str) -> None:
    answer = await llama.answer(anything, max_tokens=40)
    assert answer.type == "done"
    assert isinstance(json.dumps(answer.text), str)
