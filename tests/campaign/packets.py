"""A network of the daemon's own: some of its packets are lost, doubled, late, out of order.

Two TUN devices, one of them in a network namespace; between them this process carries IP packets. The
kernel's own netem (`tc`) does the same, but many kernels come without it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path
from random import Random
from typing import Self

_TUN = Path("/dev/net/tun")
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_MTU = 1500
_IPV4 = 4
_QUEUE = 1000


def why_not() -> str | None:
    """Return why there can be none here; None if there can."""
    if os.geteuid() != 0:
        return "a network of its own needs root"
    if shutil.which("ip") is None:
        return "a network of its own needs ip: sudo apt-get install iproute2"
    return None if _TUN.exists() else f"a network of its own needs {_TUN}"


class Packets:
    """Carries packets between this network and one of the daemon's own, inside its `async with`.

    Attributes:
        here: This side's address.
        prefix: The beginning of a command line that is to run in that network.
        lost: Which share of packets is lost, in either direction.
        doubled: Which share is carried twice.
        delay_s: How long one is held back, at most; drawn for each, so that they pass one another.
        carried: How many packets there were.
    """

    def __init__(self, seed: int) -> None:
        # Addresses for documentation (RFC 5737): nobody's. Four of them for each, by process.
        block = os.getpid() % 64 * 4
        self.here, self._there = f"192.0.2.{block + 1}", f"192.0.2.{block + 2}"
        self._name = f"campaign{os.getpid()}"
        self.prefix = ("ip", "netns", "exec", self._name)
        self._random = Random(f"{seed}/packets")
        self._files: list[int] = []
        self.lost = self.doubled = self.delay_s = 0.0
        self.carried = 0
        self.dropped = 0

    async def __aenter__(self) -> Self:
        """Make the network.

        Raises:
            PermissionError: This process may not.
        """
        if reason := why_not():
            raise PermissionError(reason)
        try:
            await asyncio.to_thread(self._make)
        except BaseException:
            self._close()
            raise
        loop = asyncio.get_running_loop()
        for index in range(2):
            loop.add_reader(self._files[index], self._carry, self._files[index], self._files[1 - index])
        return self

    async def __aexit__(self, *_: object) -> None:
        """Take it down."""
        loop = asyncio.get_running_loop()
        for each in self._files:
            loop.remove_reader(each)
        self._close()

    def smooth(self) -> None:
        """Carry every packet once, at once."""
        self.lost = self.doubled = self.delay_s = 0.0

    def _make(self) -> None:
        near, far = f"near{os.getpid()}", f"far{os.getpid()}"
        self._files = [_open(near), _open(far)]
        _ip("netns", "add", self._name)
        _ip("link", "set", far, "netns", self._name)
        _ip("addr", "add", f"{self.here}/30", "dev", near)
        _ip("link", "set", near, "up", "mtu", str(_MTU))
        _ip("-n", self._name, "addr", "add", f"{self._there}/30", "dev", far)
        _ip("-n", self._name, "link", "set", far, "up", "mtu", str(_MTU))
        _ip("-n", self._name, "link", "set", "lo", "up")

    def _close(self) -> None:
        for each in self._files:
            os.close(each)
        self._files = []
        subprocess.run(["ip", "netns", "del", self._name], check=False, capture_output=True)

    def _carry(self, source: int, target: int) -> None:
        for _ in range(_QUEUE):
            try:
                packet = os.read(source, _MTU + 64)
            except BlockingIOError:
                return
            if packet[0] >> 4 != _IPV4:
                continue  # IPv6 looks for neighbours
            self.carried += 1
            copies = 2 if self._random.random() < self.doubled else 1
            for _ in range(copies):
                if self._random.random() < self.lost:
                    self.dropped += 1
                elif self.delay_s:
                    late_s = self._random.uniform(0, self.delay_s)
                    asyncio.get_running_loop().call_later(late_s, self._put, target, packet)
                else:
                    self._put(target, packet)

    def _put(self, target: int, packet: bytes) -> None:
        if target in self._files:
            try:
                os.write(target, packet)
            except OSError:
                self.dropped += 1  # its queue is full, as a router's may be


def _open(name: str) -> int:
    file = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return file


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
