"""`edgeassist requests`: what waits and runs on the device, and ends of it."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from edgeassist import harmless
from edgeassist.cli.connect import connect
from edgeassist.cli.consoles import Console
from edgeassist.errors import error_for
from edgeassist.protocol.listing import ListedRequest, RequestList
from edgeassist.protocol.state import CommandResponse
from edgeassist.settings import load_settings


def requests(
    context: typer.Context,
    client: Annotated[
        str | None,
        typer.Option(help='Only this client\'s; "" for those on the shared topics.', show_default=False),
    ] = None,
    limit: Annotated[int, typer.Option(help="How many to list.", min=1, max=256)] = 64,
    cancel: Annotated[
        str | None, typer.Option(help="End the request of this id instead.", show_default=False)
    ] = None,
    cancel_all: Annotated[bool, typer.Option("--cancel-all", help="End all of them instead.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List the requests that run and wait on the device, without what is asked in them, or end some.

    Needs the right to give commands: the daemon's account has it, clients with a topic of their own have not.
    """
    if cancel is not None and cancel_all:
        raise typer.BadParameter(
            "--cancel ends one request and --cancel-all all of them: give one of the two"
        )
    loaded = load_settings(context.obj)

    async def give() -> dict[str, Any]:
        whose: dict[str, Any] = {} if client is None else {"client": client}
        async with connect(loaded.settings) as device:
            if cancel is not None:
                return _data(await device.command("cancel", request=cancel, **whose))
            if cancel_all:
                return _data(await device.command("cancel", all=True, **whose))
            return _data(await device.command("requests", limit=limit, **whose))

    data = asyncio.run(give())
    if as_json:
        print(harmless.in_json(json.dumps(data, ensure_ascii=False)))
    elif cancel is not None or cancel_all:
        print(f"cancelled: {data['cancelled']}")
    else:
        _print(RequestList.model_validate(data))


def _data(response: CommandResponse) -> dict[str, Any]:
    if response.error is not None:
        raise error_for(response.error.code, response.error.message)
    return dict(response.data or {})


def _print(listed: RequestList) -> None:
    console = Console()
    if listed.requests:
        table = Table(*("id", "client", "", "priority", "state", "age", "left", "tokens"), box=None)
        for each in listed.requests:
            table.add_row(*(escape(harmless.line(cell)) for cell in _cells(each)))
        console.print(table)
    more = f", {listed.left_out} of them not listed (--limit)" if listed.left_out else ""
    console.print(f"{listed.running} running, {listed.waiting} waiting{more}", highlight=False)


def _cells(request: ListedRequest) -> tuple[str, ...]:
    ahead = "next" if request.position == 0 else f"{request.position} before it"
    place = "running" if request.position is None else f"waiting, {ahead}"
    return (
        request.id,
        request.client or "(shared)",
        request.kind,
        request.priority.value,
        place,
        f"{request.age_s:.0f} s",
        f"{request.deadline_in_s:.0f} s",
        _tokens(request),
    )


def _tokens(request: ListedRequest) -> str:
    if request.prompt_tokens is not None and (request.processed or 0) < request.prompt_tokens:
        return f"{request.processed or 0} of {request.prompt_tokens} read"
    return "" if request.completion_tokens is None else str(request.completion_tokens)
