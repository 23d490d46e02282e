"""The built-in model reads lists of sensors as people and programs write them, in both engines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgeassist.engine.messages import ChatMessage
from edgeassist.models.builtin import TINY, builtin_forms
from tests.integration.driver import Engine

# Written by hand, not by the training's generator: system prompt, question, right answer.
READ = [
    (
        "Sensors: kitchen temperature: 21.5 °C; nursery humidity: 48 %; garage door: closed",
        "How humid is the nursery?",
        "The nursery humidity is 48 %.",
    ),
    (
        "kitchen temperature=21.5 °C, nursery humidity=48 %, garage door=closed",
        "What is the temperature in the kitchen?",
        "The kitchen temperature is 21.5 °C.",
    ),
    (
        '{"kitchen temperature": "21.5 °C", "nursery humidity": "48 %", "garage door": "closed"}',
        "Is the garage door closed?",
        "The garage door is closed.",
    ),
    (
        '{"kitchen": {"temperature": 21.5, "humidity": 51}, "nursery": {"temperature": 19.2}}',
        "How warm is the nursery?",
        "The nursery temperature is 19.2.",
    ),
    (
        '[{"name": "kitchen temperature", "value": 21.5, "unit": "°C"}, '
        '{"name": "office power", "value": 130, "unit": "W"}]',
        "How much power does the office use?",
        "The office power is 130 W.",
    ),
    (
        "Sensors:\nkitchen temperature 21.5 °C\nnursery humidity 48 %\ngarage door closed",
        "What is the humidity in the nursery?",
        "The nursery humidity is 48 %.",
    ),
    (
        "| Sensor | Value |\n| --- | --- |\n| kitchen temperature | 21.5 °C |\n| garage door | closed |",
        "How warm is the kitchen?",
        "The kitchen temperature is 21.5 °C.",
    ),
    (
        "sensors:\n- name: bedroom co2\n  value: 731 ppm\n- name: hallway motion\n  value: detected",
        "How much co2 is in the bedroom?",
        "The bedroom co2 is 731 ppm.",
    ),
    (
        "You are the voice of a home.\n\n## Sensors\n- Kitchen temperature: 21.5 °C\n- Bathroom window: open",
        "Is the bathroom window open?",
        "The bathroom window is open.",
    ),
    (
        "sensor.kitchen_temperature: 21.5 °C\nsensor.nursery_humidity: 48 %\nbinary_sensor.garage_door: on",
        "What is the kitchen temperature?",
        "The kitchen temperature is 21.5 °C.",
    ),
    (
        "room,quantity,value\nkitchen,temperature,21.5 °C\nbasement,humidity,66 %\noffice,light,on",
        "Is the light in the office on?",
        "The office light is on.",
    ),
    (
        "Kitchen:\n  temperature 21.5 °C\n  humidity 51 %\nNursery:\n  temperature 19 °C\n  window open",
        "What is the humidity in the kitchen?",
        "The kitchen humidity is 51 %.",
    ),
    (
        "The kitchen temperature is 21.5 °C. The nursery humidity is 48 %. The garage door is closed.",
        "How humid is the nursery?",
        "The nursery humidity is 48 %.",
    ),
    (
        "* temperature (kitchen) -> 21.5 °C\n* humidity (nursery) -> 48 %\n* door (garage) -> closed",
        "Is the garage door closed?",
        "The garage door is closed.",
    ),
    (
        "Sensors:\nkitchen temperature: 21.5 °C; nursery humidity: 48 %",
        "Is the window in the cellar open?",
        "The cellar window? I don't know, there is no sensor for it.",
    ),
    ("传感器：厨房温度：21.5 °C；卧室湿度：48 %；车库门：关着", "卧室湿度是多少？", "卧室湿度是48 %。"),
    ("厨房温度=21.5 °C，卧室湿度=48 %，车库门=关着", "厨房温度是多少？", "厨房温度是21.5 °C。"),
    ('{"厨房温度": "21.5 °C", "卧室湿度": "48 %", "车库门": "关着"}', "车库门关了吗？", "车库门现在关着。"),
    (
        "| 名称 | 数值 |\n| --- | --- |\n| 厨房温度 | 21.5 °C |\n| 书房功率 | 130 W |",
        "书房功率是多少？",
        "书房功率是130 W。",
    ),
    (
        "厨房：\n- 温度 21.5 °C\n- 湿度 51 %\n卧室：\n- 温度 19 °C\n- 窗户 开着",
        "厨房湿度是多少？",
        "厨房湿度是51 %。",
    ),
]


@pytest.fixture(scope="module", params=["llama", "onnx"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each engine, with the built-in model."""
    with Engine() as engine:
        engine.load(request.param, builtin_forms(TINY)[request.param], context=1024)
        yield engine


def test_the_built_in_model_reads_lists_as_people_and_programs_write_them(engine: Engine) -> None:
    wrong = []
    for system, question, right in READ:
        messages = (ChatMessage("system", system), ChatMessage("user", question))
        said = engine.answer("", messages=messages, max_tokens=80).text
        if said != right:
            wrong.append((system, said))
    assert len(wrong) <= len(READ) // 10, wrong
