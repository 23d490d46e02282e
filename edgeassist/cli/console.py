"""`edgeassist console`: hands the page out until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import webbrowser
from typing import Annotated

import typer

from edgeassist.console.config import check_broker_url
from edgeassist.console.server import Server
from edgeassist.console.site import Site
from edgeassist.errors import ConfigurationError
from edgeassist.settings import load_settings
from edgeassist.wiring import page_config_of


def console(
    context: typer.Context,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Where, on this machine; 0: a free one.", show_default=False),
    ] = None,
    broker: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="The broker's WebSockets, such as ws://broker:9001.", show_default=False
        ),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Serve a page for the browser: chat, live figures, requests, models.

    On loopback only, until Ctrl-C. The page speaks to the broker itself, with a login that it asks for.
    """
    settings = load_settings(context.obj).settings
    config = page_config_of(settings, broker=None if broker is None else _checked(broker))
    where = settings.console.port if port is None else port

    async def serve() -> None:
        async with Server(Site(config), where) as server:
            print(f"{server.url} (Ctrl-C ends it; the broker: {config.broker})", flush=True)
            if open_page:
                await asyncio.to_thread(webbrowser.open, server.url)
            await asyncio.Event().wait()

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve())


def _checked(url: str) -> str:
    try:
        return check_broker_url(url)
    except ValueError as error:
        raise ConfigurationError(f"--broker: {error}") from None
