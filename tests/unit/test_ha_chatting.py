"""Thanks and greetings are told from what is to be done, asked or called."""

from __future__ import annotations

import time

import pytest

from custom_components.edgeassist.chatting import only_talks


@pytest.mark.parametrize(
    "said",
    [
        "Thank you, that is all.",
        "thanks!",
        "OK, thank you very much!",
        "Thank you for your help.",
        "perfect, thanks",
        "No, that's all for now.",
        "hello",
        "Hi there, how are you?",
        "bye bye",
        "never mind",
        "Danke, das war alles!",
        "Vielen Dank",
        "Hallo! Wie geht’s?",
        "Ok, danke dir",
        "谢谢，就这样吧。",
        "好的谢谢",
        "你好！",
        "再见",
    ],
)
def test_who_only_talks_wants_nothing_done(said: str) -> None:
    assert only_talks(said)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "?!",
        "light",
        "Thanks, and turn off the light",
        "thank you, is the door closed?",
        "that is all too bright",
        "Good night",
        "good morning",
        "Bye, lock up",
        "hello kitchen",
        "stop",
        "yes",
        "no",
        "What can you do?",
        "Danke, und mach das Licht aus",
        "Gute Nacht",
        "alles aus",
        "谢谢，关灯",
        "晚安",
        "好热",
        "thanks " * 40,
    ],
)
def test_where_more_may_be_meant_the_tools_stay(said: str) -> None:
    assert not only_talks(said)


@pytest.mark.parametrize("said", ["ok " * 60, ", " * 99 + "x", " " * 199 + "x", "thanks " * 20_000])
def test_nothing_that_is_said_holds_up_the_house(said: str) -> None:
    begin = time.process_time()
    only_talks(said)
    assert time.process_time() - begin < 1
