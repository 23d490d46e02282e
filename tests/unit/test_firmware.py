import struct
from pathlib import Path

import pytest

from edgeassist.device.firmware import (
    Firmware,
    ThrottledFlags,
    ThrottledHistory,
    decode_mailbox_reply,
    decode_throttled,
    encode_mailbox_request,
    throttled_flags,
)
from tests.unit.trees import plant

FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"
PI_5_FIRMWARE = "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"
QUIET = ThrottledFlags(*[False] * 8)


@pytest.mark.parametrize("path", [FIRMWARE, PI_5_FIRMWARE])
@pytest.mark.parametrize(
    ("text", "raised"),
    [
        ("0", set()),
        ("1", {"under_voltage"}),
        ("2", {"frequency_capped"}),
        ("4", {"throttled"}),
        ("8", {"soft_temperature_limit"}),
        ("10000", {"under_voltage_occurred"}),
        ("20000", {"frequency_capped_occurred"}),
        ("40000", {"throttled_occurred"}),
        ("80000", {"soft_temperature_limit_occurred"}),
        (
            "0x50005",
            {"under_voltage", "throttled", "under_voltage_occurred", "throttled_occurred"},
        ),
    ],
)
def test_each_bit_of_a_pis_firmware_has_its_meaning(
    tmp_path: Path, path: str, text: str, raised: set[str]
) -> None:
    flags = throttled_flags(plant(tmp_path, {path: text}))
    assert flags is not None
    assert {name for name in ThrottledFlags.__dataclass_fields__ if getattr(flags, name)} == raised
    if not raised:
        assert flags == QUIET


@pytest.mark.parametrize("garbage", ["", "throttled=0x0", b"\xff"])
def test_garbled_throttled_flags_are_unknown(tmp_path: Path, garbage: object) -> None:
    assert throttled_flags(plant(tmp_path, {FIRMWARE: garbage})) is None


@pytest.mark.parametrize("alarm", [True, False])
def test_without_the_firmware_file_the_voltage_alarm_tells_of_under_voltage_alone(
    tmp_path: Path, *, alarm: bool
) -> None:
    hwmon = "sys/class/hwmon/hwmon1"
    plant(tmp_path, {"sys/class/hwmon/hwmon0/name": "rp1_adc"})
    plant(tmp_path, {f"{hwmon}/name": "rpi_volt", f"{hwmon}/in0_lcrit_alarm": int(alarm)})
    assert throttled_flags(tmp_path) == ThrottledFlags(under_voltage=alarm, under_voltage_occurred=alarm)


def test_an_empty_tree_has_no_flags(tmp_path: Path) -> None:
    assert throttled_flags(tmp_path) is None


def test_the_mailbox_is_asked_for_the_flags_and_clears_nothing() -> None:
    length, status, tag, size, _, cleared, end = struct.unpack("=7I", encode_mailbox_request())
    assert (length, status, tag, size, cleared, end) == (28, 0, 0x00030046, 4, 0, 0)


@pytest.mark.parametrize(
    ("reply", "bits"),
    [
        pytest.param((28, 0x80000000, 0x30046, 4, 0x80000004, 0x50005, 0), 0x50005, id="told"),
        pytest.param((28, 0x80000001, 0x30046, 4, 0, 0, 0), None, id="failed"),
        pytest.param((28, 0x80000000, 0x30046, 4, 0, 0, 0), None, id="tag not answered"),
        pytest.param((28, 0, 0x30046, 4, 0, 0, 0), None, id="not answered"),
    ],
)
def test_a_reply_counts_only_where_the_firmware_knows_the_tag(
    reply: tuple[int, ...], bits: int | None
) -> None:
    assert decode_mailbox_reply(struct.pack("=7I", *reply)) == bits


def test_a_mailbox_that_is_none_is_passed_over(tmp_path: Path) -> None:
    plant(tmp_path, {"dev/vcio": "a file"})
    assert throttled_flags(tmp_path) is None


def vcgencmd(root: Path, script: str) -> Path:
    """Put a program there that notes its calls; return the note."""
    program, calls = root / "usr/bin/vcgencmd", root / "calls"
    plant(root, {"usr/bin/vcgencmd": f"#!/bin/sh\necho $* >> {calls}\n{script}"})
    program.chmod(0o755)
    return calls


def test_vcgencmd_is_the_last_resort(tmp_path: Path) -> None:
    calls = vcgencmd(tmp_path, "echo throttled=0x50000")
    assert throttled_flags(tmp_path) == decode_throttled(0x50000)
    plant(tmp_path, {FIRMWARE: "1"})
    assert throttled_flags(tmp_path) == decode_throttled(1)
    assert calls.read_text().splitlines() == ["get_throttled"]


def test_vcgencmd_is_not_called_for_every_reading(tmp_path: Path) -> None:
    calls = vcgencmd(tmp_path, "echo throttled=0x0")
    firmware = Firmware(tmp_path)
    assert [firmware.read() for _ in range(3)] == [QUIET] * 3
    assert len(calls.read_text().splitlines()) == 1


@pytest.mark.parametrize("script", ["exit 1", "echo VCHI initialization failed", "exec sleep 30"])
def test_a_vcgencmd_that_fails_is_never_called_again(tmp_path: Path, script: str) -> None:
    calls = vcgencmd(tmp_path, script)
    firmware = Firmware(tmp_path)
    assert [firmware.read() for _ in range(3)] == [None] * 3
    assert len(calls.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("bits", "under_voltage", "throttled"),
    [
        pytest.param([0], False, False, id="quiet"),
        pytest.param([0x5, 0], True, True, id="seen"),
        pytest.param([0x50000], False, False, id="before the first reading"),
        pytest.param([0x50000, 0x50000], False, False, id="kept since before"),
        pytest.param([0, 0x10000], True, False, id="between two readings"),
        pytest.param([0x50000, 0, 0x40000, 0], False, True, id="cleared, and raised again"),
    ],
)
def test_the_history_is_what_was_raised_since_it_began(
    bits: list[int], *, under_voltage: bool, throttled: bool
) -> None:
    history = ThrottledHistory()
    for each in bits:
        history.note(decode_throttled(each))
    assert (history.under_voltage, history.throttled) == (under_voltage, throttled)


def test_an_alarm_of_voltage_says_nothing_about_heat() -> None:
    history = ThrottledHistory()
    history.note(ThrottledFlags(under_voltage=True, under_voltage_occurred=True))
    assert (history.under_voltage, history.throttled) == (True, None)
