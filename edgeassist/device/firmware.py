"""A Raspberry Pi's power and heat flags, read from its firmware by any way that is open to this process."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from edgeassist.device.files import ROOT, read_int, read_text

# The mailbox: drivers/char/broadcom/vcio.c of Raspberry Pi's kernel, which is _IOWR(100, 0, char *), and
# include/soc/bcm2835/raspberrypi-firmware.h for the tag and the status.
_MAILBOX_REQUEST = 3 << 30 | struct.calcsize("P") << 16 | 100 << 8
_GET_THROTTLED = 0x00030046
_SUCCESS = 0x80000000
_MESSAGE = struct.Struct("=7I")

_VCGENCMD = ("usr/bin/vcgencmd", "opt/vc/bin/vcgencmd")
_VCGENCMD_TIMEOUT_S = 1.0
# Starting a process costs some milliseconds, so its result is reused for this long.
_VCGENCMD_KEEP_S = 10.0


@dataclass(frozen=True, slots=True)
class ThrottledFlags:
    """A Raspberry Pi's power and heat flags. All but under-voltage are None if the kernel reports only that.

    The `_occurred` flags are the firmware's history. The kernel clears it every 2 s (Linux,
    drivers/hwmon/raspberrypi-hwmon.c), so "since the start" has to be recorded: `ThrottledHistory`.
    """

    under_voltage: bool
    under_voltage_occurred: bool
    frequency_capped: bool | None = None
    frequency_capped_occurred: bool | None = None
    throttled: bool | None = None
    throttled_occurred: bool | None = None
    soft_temperature_limit: bool | None = None
    soft_temperature_limit_occurred: bool | None = None


@dataclass
class ThrottledHistory:
    """The flags that were set at any time since the first reading; None before it."""

    under_voltage: bool | None = None
    throttled: bool | None = None
    _last: ThrottledFlags | None = None

    def note(self, flags: ThrottledFlags) -> None:
        """Record a reading."""
        last, self._last = self._last, flags
        # Set between two readings. The history at the first reading is older than this object.
        voltage = last is not None and flags.under_voltage_occurred and not last.under_voltage_occurred
        self.under_voltage = bool(self.under_voltage or flags.under_voltage or voltage)
        if flags.throttled is not None:
            throttled = last is not None and flags.throttled_occurred and not last.throttled_occurred
            self.throttled = bool(self.throttled or flags.throttled or throttled)


@dataclass
class Firmware:
    """Reads the firmware's flags in the cheapest way that works. Not thread-safe.

    Tried in this order: sysfs; the mailbox, for root and the group `video`; the program `vcgencmd`, which is
    not called again once it failed. If none works (Debian's kernel), the kernel's hwmon alarm reports
    under-voltage within the last 2 s.
    """

    root: Path = ROOT
    _vcgencmd_failed: bool = False
    _vcgencmd_bits: int | None = None
    _vcgencmd_at: float = field(default=0.0)

    def read(self) -> ThrottledFlags | None:
        """Read the flags; None on machines without this firmware."""
        bits = _ask_sysfs(self.root)
        if bits is None:
            bits = _ask_mailbox(self.root / "dev/vcio")
        if bits is None:
            bits = self._ask_vcgencmd()
        return _read_alarm(self.root) if bits is None else decode_throttled(bits)

    def _ask_vcgencmd(self) -> int | None:
        if self._vcgencmd_failed:
            return None
        if self._vcgencmd_bits is None or time.monotonic() - self._vcgencmd_at > _VCGENCMD_KEEP_S:
            self._vcgencmd_bits = _run_vcgencmd(self.root)
            self._vcgencmd_at = time.monotonic()
            self._vcgencmd_failed = self._vcgencmd_bits is None
        return self._vcgencmd_bits


def throttled_flags(root: Path = ROOT) -> ThrottledFlags | None:
    """Read the flags once; None on machines without this firmware. To read repeatedly, keep a `Firmware`."""
    return Firmware(root).read()


def decode_throttled(bits: int) -> ThrottledFlags:
    """Decode the bits of `get_throttled`."""
    # Bits 0 to 3 are now, 16 to 19 the history (Raspberry Pi documentation, vcgencmd get_throttled).
    return ThrottledFlags(
        under_voltage=bool(bits & 1 << 0),
        under_voltage_occurred=bool(bits & 1 << 16),
        frequency_capped=bool(bits & 1 << 1),
        frequency_capped_occurred=bool(bits & 1 << 17),
        throttled=bool(bits & 1 << 2),
        throttled_occurred=bool(bits & 1 << 18),
        soft_temperature_limit=bool(bits & 1 << 3),
        soft_temperature_limit_occurred=bool(bits & 1 << 19),
    )


def encode_mailbox_request() -> bytes:
    """Return the mailbox property message that requests the flags.

    Fields: length, status; tag, size of its value, tag status, value; end tag. The value of a request is the
    set of history bits to clear: none.
    """
    return _MESSAGE.pack(_MESSAGE.size, 0, _GET_THROTTLED, 4, 0, 0, 0)


def decode_mailbox_reply(reply: bytes) -> int | None:
    """Return the bits of `get_throttled`; None if the firmware does not know the tag."""
    _, status, tag, _, tag_status, value, _ = _MESSAGE.unpack(reply)
    known = status == _SUCCESS and tag == _GET_THROTTLED and tag_status & _SUCCESS
    return value if known else None


def _ask_sysfs(root: Path) -> int | None:
    # soc:firmware up to the Pi 4, soc@107c000000:firmware on a Pi 5.
    for path in sorted((root / "sys/devices/platform").glob("soc*/soc*:firmware/get_throttled")):
        bits = read_int(path, base=16)
        if bits is not None:
            return bits
    return None


def _ask_mailbox(device: Path) -> int | None:
    message = bytearray(encode_mailbox_request())
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, _MAILBOX_REQUEST, message)
        finally:
            os.close(descriptor)
    except OSError:
        return None
    return decode_mailbox_reply(bytes(message))


def _run_vcgencmd(root: Path) -> int | None:
    for name in _VCGENCMD:
        try:
            ended = subprocess.run(  # noqa: S603 - the program is the firmware's own
                [root / name, "get_throttled"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_VCGENCMD_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        match = re.fullmatch(rb"throttled=0x([0-9a-f]+)\s*", ended.stdout)
        if ended.returncode == 0 and match is not None:
            return int(match[1], 16)
    return None


def _read_alarm(root: Path) -> ThrottledFlags | None:
    for name in sorted((root / "sys/class/hwmon").glob("hwmon*/name")):
        if read_text(name) == "rpi_volt":
            alarm = read_int(name.with_name("in0_lcrit_alarm"))
            if alarm is not None:
                return ThrottledFlags(under_voltage=alarm != 0, under_voltage_occurred=alarm != 0)
    return None
