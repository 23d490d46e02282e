import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgeassist.errors import InvalidRequestError
from edgeassist.protocol.topics import (
    MAX_NAME_BYTES,
    MAX_TOPIC_BYTES,
    CommandTopic,
    DecideTopic,
    PromptTopic,
    Topics,
    check_topic_name,
    topic_safe,
)

BOX = Topics("edgeassist", "box")
PREFIXES = ("{root}/reply/", "reply/")


def test_every_topic_of_a_device_begins_with_its_root() -> None:
    assert BOX.root == "edgeassist/box"
    assert [BOX.status, BOX.health, BOX.telemetry, BOX.info] == [
        "edgeassist/box/status",
        "edgeassist/box/health",
        "edgeassist/box/telemetry",
        "edgeassist/box/info",
    ]
    assert BOX.decide_filters == ("edgeassist/box/decide", "edgeassist/box/decide/+")
    assert BOX.prompt_filters == ("edgeassist/box/prompt", "edgeassist/box/prompt/+")
    assert BOX.command_filters == ("edgeassist/box/command/+", "edgeassist/box/command/cancel/+")
    assert BOX.cancel() == "edgeassist/box/command/cancel"
    assert BOX.cancel("esp32") == "edgeassist/box/command/cancel/esp32"
    assert BOX.response("ping") == "edgeassist/box/response/ping"
    assert BOX.response("cancel", "esp32") == "edgeassist/box/response/cancel/esp32"
    assert BOX.reply("7") == "edgeassist/box/reply/7"
    assert BOX.reply("7", "kitchen") == "edgeassist/box/reply/kitchen/7"


def test_a_base_of_several_levels_works_like_one() -> None:
    house = Topics("home/ai", "box")
    assert house.parse("home/ai/box/prompt/kitchen") == PromptTopic("kitchen")
    assert house.check_reply("home/ai/x", prefixes=["{base}/"], client=None) == "home/ai/x"


@pytest.mark.parametrize(
    ("topic", "meaning"),
    [
        ("edgeassist/box/prompt", PromptTopic(None)),
        ("edgeassist/box/prompt/kitchen", PromptTopic("kitchen")),
        ("edgeassist/box/prompt/Küche 1", PromptTopic("Küche 1")),
        ("edgeassist/box/command/cancel", CommandTopic("cancel")),
        ("edgeassist/box/prompt/", PromptTopic("")),
        ("edgeassist/box/prompt/kitchen/1", None),
        ("edgeassist/box/decide", DecideTopic(None)),
        ("edgeassist/box/decide/kitchen", DecideTopic("kitchen")),
        ("edgeassist/box/decide/", DecideTopic("")),
        ("edgeassist/box/decide/kitchen/1", None),
        ("edgeassist/box/command", None),
        ("edgeassist/box/command/cancel/kitchen", CommandTopic("cancel", "kitchen")),
        ("edgeassist/box/command/cancel/", None),
        (f"edgeassist/box/command/cancel/{'x' * 129}", None),
        ("edgeassist/box/command/ping/kitchen", None),
        ("edgeassist/box/command/cancel/kitchen/7", None),
        ("edgeassist/box/reply/7", None),
        ("edgeassist/box/status", None),
        ("edgeassist/box", None),
        ("edgeassist/box2/prompt", None),
        ("edgeassist/hall/prompt", None),
        ("other/edgeassist/box/prompt", None),
        ("/prompt", None),
        ("/prompt/kitchen", None),
        ("/command/cancel", None),
        ("prompt", None),
        ("edgeassist/prompt", None),
        ("edgeassist/box/edgeassist/box/prompt", None),
        ("edgeassist/boxprompt", None),
        ("", None),
    ],
)
def test_a_topic_means_what_it_says(
    topic: str, meaning: PromptTopic | DecideTopic | CommandTopic | None
) -> None:
    assert BOX.parse(topic) == meaning


LEVEL = st.text(
    st.characters(exclude_characters="/+#\0", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=32
)


@given(base=st.lists(LEVEL, min_size=1, max_size=3).map("/".join), device=LEVEL, name=LEVEL)
def test_what_was_built_is_parsed_back(base: str, device: str, name: str) -> None:
    topics = Topics(base, device)
    assert topics.parse(topics.prompt()) == PromptTopic(None)
    assert topics.parse(topics.prompt(name)) == PromptTopic(name)
    assert topics.parse(topics.command(name)) == CommandTopic(name)
    assert topics.parse(topics.reply(name)) is None
    assert topics.parse(topics.response(name)) is None


@given(
    root=st.lists(LEVEL | st.just(""), max_size=4).map("/".join)
    | st.sampled_from(["edgeassist", "edgeassist/bo"]),
    rest=st.sampled_from(["/prompt", "/prompt/kitchen", "/command/ping"]),
)
def test_nothing_below_another_root_is_ours(root: str, rest: str) -> None:
    assume(root != BOX.root)
    assert BOX.parse(f"{root}{rest}") is None


@pytest.mark.parametrize("topic", ["reply/x", "edgeassist/box/reply/x", "edgeassist/box/reply/kitchen/7"])
def test_answers_may_go_below_an_allowed_prefix(topic: str) -> None:
    assert BOX.check_reply(topic, prefixes=PREFIXES, client=None) == topic


@pytest.mark.parametrize(
    "topic",
    [
        "reply",
        "replying/x",
        "edgeassist/box/status",
        "edgeassist/box/command/cancel",
        "edgeassist/hall/reply/x",
        "homeassistant/light/config",
    ],
)
def test_answers_may_not_go_elsewhere(topic: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"must begin with one of.*mqtt\.reply_prefixes"):
        BOX.check_reply(topic, prefixes=PREFIXES, client=None)


def test_without_prefixes_answers_may_go_nowhere_and_with_an_empty_one_anywhere() -> None:
    with pytest.raises(InvalidRequestError):
        BOX.check_reply("reply/x", prefixes=(), client=None)
    assert BOX.check_reply("any/where", prefixes=("",), client=None) == "any/where"


def test_a_client_has_a_name_of_bounded_length() -> None:
    BOX.check_client("k" * MAX_NAME_BYTES)
    with pytest.raises(InvalidRequestError, match="is missing after edgeassist/box/prompt/: publish to"):
        BOX.check_client("")
    with pytest.raises(InvalidRequestError, match="is missing after edgeassist/box/decide/: publish to"):
        BOX.check_client("", decides=True)
    with pytest.raises(InvalidRequestError, match="is longer than 128 bytes: publish to"):
        BOX.check_client("k" * (MAX_NAME_BYTES + 1))


def test_a_client_stays_out_of_other_clients_replies() -> None:
    own = "edgeassist/box/reply/kitchen/7"
    assert BOX.check_reply(own, prefixes=PREFIXES, client="kitchen") == own
    assert BOX.check_reply("reply/hall", prefixes=PREFIXES, client="kitchen") == "reply/hall"
    for foreign in (
        "edgeassist/box/reply/hall/7",
        "edgeassist/box/reply/kitchen2/7",
        "edgeassist/box/reply/7",
    ):
        with pytest.raises(InvalidRequestError, match=r"only edgeassist/box/reply/kitchen/ is its own"):
            BOX.check_reply(foreign, prefixes=PREFIXES, client="kitchen")


@pytest.mark.parametrize(
    ("topic", "problem"),
    [
        ("", "empty"),
        ("reply/+", "wildcard"),
        ("reply/#", "wildcard"),
        ("reply/a+b", "wildcard"),
        ("$SYS/broker", "begins with"),
        ("$share/group/reply", "begins with"),
        ("reply/\0", "control character"),
        ("reply/\n", "control character"),
        ("reply/\x7f", "control character"),
        ("reply/\x85", "control character"),
        ("reply/\ud800", "UTF-8 does not allow"),
        ("a" * (MAX_TOPIC_BYTES + 1), "longer than 1024 bytes"),
        ("你" * (MAX_TOPIC_BYTES // 3 + 1), "longer than 1024 bytes"),
    ],
)
def test_what_is_no_topic_name_is_refused_with_its_problem(topic: str, problem: str) -> None:
    with pytest.raises(InvalidRequestError, match=problem) as refusal:
        check_topic_name(topic)
    assert len(refusal.value.message) < 1000
    refusal.value.message.encode()


@pytest.mark.parametrize("topic", ["a", "/", "reply/你好", "reply/with space", "reply/$", "a//b"])
def test_a_topic_name_may_have_any_other_text(topic: str) -> None:
    check_topic_name(topic)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("raspberrypi", "raspberrypi"),
        ("Küche Pi", "k-che-pi"),
        ("box.local", "box-local"),
        ("a/b+c#d", "a-b-c-d"),
        ("my_box-1", "my_box-1"),
        ("---", "device"),
        ("厨房", "device"),
        ("", "device"),
    ],
)
def test_a_name_becomes_a_level_that_every_client_can_type(name: str, safe: str) -> None:
    assert topic_safe(name) == safe


@given(name=st.text())
def test_a_safe_name_is_one_level_and_stays_as_it_is(name: str) -> None:
    safe = topic_safe(name)
    check_topic_name(safe)
    assert "/" not in safe
    assert topic_safe(safe) == safe
