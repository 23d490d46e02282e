"""Drives a Home Assistant as its own frontend does: REST and WebSocket, on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from edgeassist.sandbox import HOST
from tests.home_assistant.process import HomeAssistant
from tests.home_assistant.registries import Registries
from tests.home_assistant.toys import Home
from tests.home_assistant.wire import CommandError, Wire, open_wire
from tests.patience import PATIENCE_S

READY_S = 180
_AGAIN_S = 0.1

# A step of a config flow: `type` (form, create_entry, abort, menu), `flow_id`, `step_id`, `errors`, `result`
Flow = dict[str, Any]


class Driver(Registries):
    """A client of a running Home Assistant; see `drive`.

    For what this does not have there are `command` and `subscribe` (WebSocket) and `request` (REST).
    """

    def __init__(self, wire: Wire, rest: httpx.AsyncClient) -> None:
        super().__init__(wire)
        self._rest = rest

    async def request(self, method: str, path: str, body: object = None) -> Any:
        """Send a request to `/api/<path>`, and return the JSON that it answers.

        Raises:
            httpx.HTTPStatusError: It is refused; the text has the reason.
        """
        answer = await self._rest.request(method, path, json=body)
        if answer.is_error:
            raise httpx.HTTPStatusError(
                f"{method} {path}: {answer.status_code} {answer.text}",
                request=answer.request,
                response=answer,
            )
        return answer.json() if answer.content else None

    # --- States and actions -----------------------------------------------------------------

    async def states(self) -> dict[str, dict[str, Any]]:
        """Return all states (`state`, `attributes`, …) by their entity."""
        return {each["entity_id"]: each for each in await self.command("get_states")}

    async def shows(self, entity: str, matches: Callable[[dict[str, Any] | None], object]) -> Any:
        """Wait until an entity's state (None: there is none) matches, and return it."""
        async with (
            asyncio.timeout(PATIENCE_S),
            self.subscribe("subscribe_events", event_type="state_changed") as events,
        ):
            state = (await self.states()).get(entity)
            while not matches(state):
                changed = await events.until(lambda event: event["data"]["entity_id"] == entity)
                state = changed["data"]["new_state"]
        return state

    async def is_(self, entity: str, state: str) -> dict[str, Any]:
        """Wait until an entity has this state, and return all of it."""
        found: dict[str, Any] = await self.shows(entity, lambda known: known and known["state"] == state)
        return found

    async def call(self, action: str, *entities: str, response: bool = False, **data: Any) -> Any:
        """Call an action, such as `light.turn_on`, and wait until it is done.

        Args:
            action: Domain and name.
            entities: What it is done to.
            response: Whether it has one, which is returned.
            data: Its data.
        """
        domain, _, name = action.partition(".")
        target = {"entity_id": list(entities)} if entities else {}
        done = await self.command(
            "call_service",
            domain=domain,
            service=name,
            service_data=data,
            target=target,
            return_response=response,
        )
        return done.get("response")

    async def render(self, template: str) -> Any:
        """Return what a template gives now."""
        async with self.subscribe("render_template", template=template) as events:
            return (await events.next())["result"]

    # --- Entries, their flows and what they complain about -----------------------------------

    async def entries(self, domain: str) -> list[dict[str, Any]]:
        """Return an integration's config entries, with `entry_id`, `title`, `state`, `reason` and others."""
        found: list[dict[str, Any]] = await self.command("config_entries/get", domain=domain)
        return found

    async def entry_is(self, entry: str, state: str) -> dict[str, Any]:
        """Wait until an entry is so (`loaded`, `setup_retry`, `not_loaded`, …), and return it."""
        async with asyncio.timeout(PATIENCE_S), self.subscribe("config_entries/subscribe") as events:
            while True:
                for change in await events.next():
                    found: dict[str, Any] = change["entry"]
                    if found["entry_id"] == entry and found["state"] == state:
                        return found

    async def begin(self, domain: str, **context: Any) -> Flow:
        """Begin a config flow as the user does, and return its first step.

        Args:
            domain: Of the integration.
            context: `entry_id=` for a reconfiguration.
        """
        return await self._flow("flow", {"handler": domain, **context})

    async def submit(self, flow: Flow, **values: Any) -> Flow:
        """Fill in a form or choose from a menu (`next_step_id=`), and return the next step."""
        kind = flow.get("_kind", "flow")
        return await self._flow(kind, values, flow["flow_id"])

    async def add(self, domain: str, **values: Any) -> dict[str, Any]:
        """Go through a config flow of one form, and return the entry that it made."""
        made = await self.submit(await self.begin(domain), **values)
        assert made["type"] == "create_entry", made
        entry: dict[str, Any] = made["result"]
        return entry

    async def begin_subentry(self, entry: str, kind: str, **context: Any) -> Flow:
        """Begin to add a subentry of this type, and return the first step.

        Args:
            entry: The entry's id.
            kind: The subentry's type.
            context: `subentry_id=` for a reconfiguration.
        """
        return await self._flow("subentries/flow", {"handler": [entry, kind], **context})

    async def begin_options(self, entry: str) -> Flow:
        """Begin to change an entry's options, and return the first step."""
        return await self._flow("options/flow", {"handler": entry})

    async def discovered(self, domain: str, matches: Callable[[Flow], object] = bool) -> Flow:
        """Wait for a flow that this integration began on its own, and return the step that waits."""
        async with asyncio.timeout(PATIENCE_S), self.subscribe("config_entries/flow/subscribe") as events:
            while True:
                for change in await events.next():
                    flow = change.get("flow")
                    if flow and flow["handler"] == domain and matches(flow):
                        return await self._step("flow", flow["flow_id"])

    async def flows(self, domain: str) -> list[Flow]:
        """Return the flows of an integration that wait for the user and were not begun by one."""
        return [
            each for each in await self.command("config_entries/flow/progress") if each["handler"] == domain
        ]

    async def subentries(self, entry: str) -> list[dict[str, Any]]:
        """Return an entry's subentries: `subentry_id`, `subentry_type`, `title`, `unique_id`."""
        found: list[dict[str, Any]] = await self.command("config_entries/subentries/list", entry_id=entry)
        return found

    async def reload(self, entry: str) -> None:
        """Unload an entry and set it up again."""
        await self.request("POST", f"config/config_entries/entry/{entry}/reload")

    async def remove(self, entry: str) -> None:
        """Remove an entry."""
        await self.request("DELETE", f"config/config_entries/entry/{entry}")

    async def issues(self, domain: str) -> list[dict[str, Any]]:
        """Return an integration's repair issues, with `issue_id`, `translation_key` and others."""
        found = (await self.command("repairs/list_issues"))["issues"]
        return [each for each in found if each["domain"] == domain]

    async def issue(self, domain: str, matches: Callable[[dict[str, Any]], object] = bool) -> dict[str, Any]:
        """Wait for a repair issue, and return it."""
        kind = "repairs_issue_registry_updated"
        async with asyncio.timeout(PATIENCE_S), self.subscribe("subscribe_events", event_type=kind) as events:
            while not (found := [each for each in await self.issues(domain) if matches(each)]):
                await events.next()
        return found[0]

    async def diagnostics(self, entry: str) -> dict[str, Any]:
        """Return what a user downloads for an entry."""
        found: dict[str, Any] = await self.request("GET", f"diagnostics/config_entry/{entry}")
        return found

    async def translations(self, domain: str, category: str, language: str = "en") -> dict[str, str]:
        """Return an integration's texts of a category (`config`, `issues`, `exceptions`, …) by their key."""
        found = await self.command(
            "frontend/get_translations", language=language, category=category, integration=[domain]
        )
        texts: dict[str, str] = found["resources"]
        return texts

    # --- A home ------------------------------------------------------------------------------

    async def furnish(self, home: Home) -> dict[str, Any]:
        """Make a home, with nothing but it exposed to assistants, instead of the last; return its entry."""
        await self.clear("toy_home")
        await self.command(
            "homeassistant/expose_new_entities/set", assistant="conversation", expose_new=False
        )
        return await self.add("toy_home", home=home.json())

    async def clear(self, domain: str) -> None:
        """Remove an integration's entries, and all areas and floors."""
        for entry in await self.entries(domain):
            await self.remove(entry["entry_id"])
        for area in (await self.areas()).values():
            await self.command("config/area_registry/delete", area_id=area)
        for floor in await self.command("config/floor_registry/list"):
            await self.command("config/floor_registry/delete", floor_id=floor["floor_id"])

    # --- How flows go -----------------------------------------------------------------------

    async def _flow(self, kind: str, body: object, flow: str = "") -> Flow:
        path = f"config/config_entries/{kind}"
        return {**await self.request("POST", f"{path}/{flow}" if flow else path, body), "_kind": kind}

    async def _step(self, kind: str, flow: str) -> Flow:
        return {**await self.request("GET", f"config/config_entries/{kind}/{flow}"), "_kind": kind}


@asynccontextmanager
async def drive(running: HomeAssistant, patience_s: float = READY_S) -> AsyncIterator[Driver]:
    """Connect to a Home Assistant, as soon as it has started.

    Raises:
        TimeoutError: It did not start; the text is the end of its log.
        RuntimeError: It ended; likewise.
    """
    headers = {"Authorization": f"Bearer {running.token}"}
    rest = httpx.AsyncClient(
        base_url=f"http://{HOST}:{running.port}/api/", headers=headers, timeout=PATIENCE_S
    )
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(patience_s):
                wire = await _open(stack, running)
        except TimeoutError as error:
            raise TimeoutError(running.log.read_text()[-3000:]) from error
        yield Driver(wire, await stack.enter_async_context(rest))


async def _open(stack: AsyncExitStack, running: HomeAssistant) -> Wire:
    while True:
        try:
            wire = await stack.enter_async_context(open_wire(HOST, running.port, running.token))
            break
        except (OSError, ConnectionClosed, InvalidHandshake):
            if not running.running:
                raise RuntimeError(running.log.read_text()[-3000:]) from None
            await asyncio.sleep(_AGAIN_S)
    async with wire.subscribe("subscribe_events", event_type="homeassistant_started") as events:
        if (await wire.command("get_config"))["state"] != "RUNNING":
            await events.next(READY_S)
    # Since 2026.11 a port set in YAML is on trial: in five minutes Home Assistant would restart without it.
    with suppress(CommandError):
        await wire.command("http/config/promote")
    return wire
