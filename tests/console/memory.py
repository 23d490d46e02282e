"""What the page keeps."""

from __future__ import annotations

from playwright.sync_api import CDPSession


def heap_bytes(session: CDPSession) -> int:
    """Return what the page's objects take, without garbage."""
    for _ in range(2):
        session.send("HeapProfiler.collectGarbage")
    return int(session.send("Runtime.getHeapUsage")["usedSize"])
