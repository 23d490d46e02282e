"""What the daemon can be told to do while it runs: the commands, and SIGHUP."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from edgeassist import __version__
from edgeassist.daemon import logs
from edgeassist.daemon.condition import Condition
from edgeassist.errors import ConfigurationError, InvalidRequestError
from edgeassist.gateways.commands import Handler, Say
from edgeassist.protocol.commands import (
    CancelArguments,
    LogLevelArguments,
    NoArguments,
    RequestsArguments,
    SchemaArguments,
)
from edgeassist.serving.requests import Requests
from edgeassist.settings import Loaded, Settings
from edgeassist.settings.published import schema_of
from edgeassist.settings.reload import LiveRoom, reload

log = logging.getLogger(__name__)


class Control:
    """Carries commands out, whoever gives them.

    Args:
        settings: Those of the start.
        read: Reads them again.
        condition: Answers `ping` and `info`.
        requests: What `cancel` ends.
        rooms: Parts of the daemon that take settings while it runs.
        model: Carries out the command of that name.
        drain: Likewise.
        doctor: Likewise.
        on_reload: Called when settings have changed.

    Attributes:
        settings: Those in force.
    """

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Loaded],
        *,
        condition: Condition,
        requests: Requests,
        rooms: Sequence[LiveRoom[Any]],
        model: Handler,
        drain: Handler,
        doctor: Handler,
        on_reload: Callable[[], None],
    ) -> None:
        self.settings = settings
        self._read = read
        self._condition = condition
        self._requests = requests
        self.rooms = rooms
        self._model = model
        self._drain = drain
        self._doctor = doctor
        self._on_reload = on_reload

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """Who carries out which command of `protocol.commands`."""
        return {
            "cancel": self._cancel,
            "ping": self._ping,
            "info": self._info,
            "log_level": self._log_level,
            "reload": self._reload,
            "model": self._model,
            "drain": self._drain,
            "requests": self._list_requests,
            "doctor": self._doctor,
            "schema": self._schema,
        }

    def reload(self) -> dict[str, JsonValue]:
        """Read the settings again and hand them to the rooms; return which keys changed, now or later.

        Raises:
            ConfigurationError: They can't be used; all stays as it was.
        """
        reloaded = reload(self.settings, self._read().settings, self.rooms)
        self.settings = reloaded.settings
        # Also where the setting is the same: the command `log_level` holds until here.
        logs.set_level(self.settings.daemon.log_level.value)
        self._on_reload()
        return {"applied": [*reloaded.applied], "restart_needed": [*reloaded.restart_needed]}

    def hang_up(self) -> None:
        """Reload as SIGHUP asks; what is wrong goes to the log."""
        try:
            changes = self.reload()
        except ConfigurationError as error:
            log.error("the settings stay as they were: %s", error.message)  # noqa: TRY400 - its text says all
        else:
            log.info("reloaded: %s", changes)

    async def _cancel(self, arguments: CancelArguments, _say: Say) -> dict[str, JsonValue]:
        if arguments.all:
            return {"cancelled": self._requests.cancel_all(arguments.client)}
        if not self._requests.cancel(arguments.request or "", arguments.client):
            raise InvalidRequestError(f"cancel: no request {arguments.request!r} waits or runs")
        return {"cancelled": 1}

    async def _list_requests(self, arguments: RequestsArguments, _say: Say) -> dict[str, JsonValue]:
        listed = self._requests.listed(client=arguments.client, limit=arguments.limit)
        return listed.model_dump(mode="json", exclude_none=True)

    async def _ping(self, _arguments: NoArguments, _say: Say) -> dict[str, JsonValue]:
        state, _ = self._condition.state()
        return {"state": state.value, "uptime_s": self._condition.uptime_s()}

    async def _info(self, _arguments: NoArguments, _say: Say) -> dict[str, JsonValue]:
        return self._condition.info(self.settings.public()).model_dump(mode="json")

    async def _schema(self, arguments: SchemaArguments, _say: Say) -> dict[str, JsonValue]:
        return {"version": __version__, "settings": schema_of(arguments.table)}

    async def _log_level(self, arguments: LogLevelArguments, _say: Say) -> dict[str, JsonValue]:
        logs.set_level(arguments.level)
        return {"level": arguments.level}

    async def _reload(self, _arguments: NoArguments, _say: Say) -> dict[str, JsonValue]:
        return self.reload()
