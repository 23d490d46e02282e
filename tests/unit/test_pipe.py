"""The daemon's end of the pipe to an engine."""

from __future__ import annotations

import asyncio
import socket

from edgeassist.supervision.pipe import Pipe


async def test_the_last_words_of_an_engine_that_could_not_be_written_to_are_heard() -> None:
    ours, its_end = socket.socketpair()
    lines: list[bytes] = []
    _, pipe = await asyncio.get_running_loop().create_connection(lambda: Pipe(lines.append), sock=ours)
    its_end.sendall(b"what it died of\nand a half")
    its_end.close()
    # It fails at once, before the loop has read.
    pipe.write(b"a command\n")
    assert await pipe.ended is None
    pipe.close()
    assert lines == [b"what it died of"]
