"""What a setting would mend, as issues in Home Assistant's repairs, which go again when it is mended."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import CONF_LLM_HASS_API
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.event import async_call_later

from .const import DOMAIN, GONE_AFTER_S, SUBENTRY_CONVERSATION
from .failures import Failure, Why
from .known import Info

if TYPE_CHECKING:
    from . import EdgeAssistConfigEntry


class Kind(StrEnum):
    """The keys below `issues` in strings.json."""

    BOX_GONE = "box_gone"
    BOX_SILENT = "box_silent"
    CONTEXT_TOO_SMALL = "context_too_small"
    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_WITHOUT_TOOLS = "model_without_tools"
    PROTOCOL_UNKNOWN = "protocol_unknown"


# What a request's failure tells of, beside what is seen of the box itself.
_OF_FAILURE = {
    Why.BOX_SILENT: Kind.BOX_SILENT,
    Why.CONTEXT_OVERFLOW: Kind.CONTEXT_TOO_SMALL,
    Why.MODEL_UNAVAILABLE: Kind.MODEL_UNAVAILABLE,
}
# What can be settled from Home Assistant, without a change at the box; so it is a warning and no error.
_FIXABLE = frozenset((Kind.BOX_GONE, Kind.MODEL_WITHOUT_TOOLS))


# Tokens beside a home and a question, and what contexts are multiples of.
_SPARE, _STEP = 1024, 4096


@callback
def async_watch(hass: HomeAssistant, entry: EdgeAssistConfigEntry) -> CALLBACK_TYPE:
    """Make and withdraw issues by what is known of the box; returns what ends that."""
    watch = _Watch(hass, entry)
    remove = entry.runtime_data.listen(watch.check)
    watch.check()

    @callback
    def end() -> None:
        remove()
        watch.close()

    return end


class _Watch:
    """Looks after the issues of one box while its entry is loaded."""

    def __init__(self, hass: HomeAssistant, entry: EdgeAssistConfigEntry) -> None:
        self._hass = hass
        self._entry = entry
        self._box = entry.runtime_data
        self._gone: CALLBACK_TYPE | None = None

    @callback
    def check(self) -> None:
        """Make and withdraw issues by what is known of the box."""
        hass, entry, box = self._hass, self._entry, self._box
        if box.online or not box.connected:
            # While the broker is away, nothing is known of the box.
            self.close()
        elif self._gone is None:
            self._gone = async_call_later(hass, GONE_AFTER_S, self._is_gone)
        if box.online:
            _withdraw(hass, entry, Kind.BOX_GONE)
        info = box.info
        if info is None:
            return
        if info.understood:
            _withdraw(hass, entry, Kind.PROTOCOL_UNKNOWN)
        else:
            _make(hass, entry, Kind.PROTOCOL_UNKNOWN, version=str(info.protocol))
        if info.model is None:
            return
        if box.health.get("state") in {"ready", "busy"}:
            _withdraw(hass, entry, Kind.MODEL_UNAVAILABLE)
        for subentry in entry.subentries.values():
            self._check_context(subentry, info.context)
            self._check_tools(subentry, info)

    @callback
    def _check_context(self, subentry: ConfigSubentry, context: int | None) -> None:
        issue_id = _id(self._entry, Kind.CONTEXT_TOO_SMALL, subentry.subentry_id)
        issue = ir.async_get(self._hass).async_get_issue(DOMAIN, issue_id)
        needed = (issue.data or {}).get("needed") if issue else None
        if needed is not None and context is not None and context > int(needed):
            ir.async_delete_issue(self._hass, DOMAIN, issue_id)

    @callback
    def _check_tools(self, subentry: ConfigSubentry, info: Info) -> None:
        if subentry.subentry_type != SUBENTRY_CONVERSATION:
            return
        if subentry.data.get(CONF_LLM_HASS_API) and not info.takes("tools") and not self._box.is_tiny:
            about = {"agent": subentry.title, "model": info.model or "-"}
            _make(self._hass, self._entry, Kind.MODEL_WITHOUT_TOOLS, subentry.subentry_id, **about)
        else:
            _withdraw(self._hass, self._entry, Kind.MODEL_WITHOUT_TOOLS, subentry.subentry_id)

    @callback
    def _is_gone(self, _now: datetime) -> None:
        self._gone = None
        _make(self._hass, self._entry, Kind.BOX_GONE)

    @callback
    def close(self) -> None:
        """Wait no more."""
        if self._gone is not None:
            self._gone()
            self._gone = None


@callback
def async_report(
    hass: HomeAssistant, entry: EdgeAssistConfigEntry, subentry_id: str | None, failure: Failure
) -> None:
    """Make an issue of a request's failure, if it is one that a setting mends."""
    kind = _OF_FAILURE.get(failure.why)
    topics = entry.runtime_data.topics
    if kind is Kind.BOX_SILENT:
        _make(hass, entry, kind, asks=f"{topics.root}/+/{topics.client}", answers=topics.replies)
    elif kind is Kind.CONTEXT_TOO_SMALL:
        # Of one agent: the next may see fewer entities, and fit.
        suggested = _context_for(int(failure.placeholders["needed"]))
        _make(hass, entry, kind, subentry_id or "", **failure.placeholders, suggested=str(suggested))
    elif kind is not None:
        _make(hass, entry, kind, **failure.placeholders)


@callback
def async_answered(hass: HomeAssistant, entry: EdgeAssistConfigEntry, subentry_id: str | None) -> None:
    """Withdraw what an answer shows to be mended."""
    for kind in (Kind.BOX_SILENT, Kind.MODEL_UNAVAILABLE):
        _withdraw(hass, entry, kind)
    _withdraw(hass, entry, Kind.CONTEXT_TOO_SMALL, subentry_id or "")


@callback
def async_forget(hass: HomeAssistant, entry: EdgeAssistConfigEntry) -> None:
    """Withdraw all issues of an entry."""
    for issue_id in list(_all(hass, entry)):
        ir.async_delete_issue(hass, DOMAIN, issue_id)


@callback
def async_open(hass: HomeAssistant, entry: EdgeAssistConfigEntry) -> list[str]:
    """Return the kinds of an entry's issues."""
    return sorted({issue.translation_key or "" for issue in _all(hass, entry).values()})


def _context_for(needed: int) -> int:
    """Return a context that leaves room for an answer and for what tools tell."""
    return -(-(needed + _SPARE) // _STEP) * _STEP


def _all(hass: HomeAssistant, entry: EdgeAssistConfigEntry) -> dict[str, ir.IssueEntry]:
    return {
        issue_id: issue
        for (domain, issue_id), issue in ir.async_get(hass).issues.items()
        if domain == DOMAIN and issue.active and issue_id.startswith(entry.entry_id)
    }


def _id(entry: EdgeAssistConfigEntry, kind: Kind, part: str) -> str:
    return "_".join(filter(None, (entry.entry_id, kind.value, part)))


def _make(hass: HomeAssistant, entry: EdgeAssistConfigEntry, kind: Kind, part: str = "", **said: str) -> None:
    placeholders = {"box": entry.title, **said}
    data: dict[str, str | int | float | None] = {
        "kind": kind.value,
        "entry_id": entry.entry_id,
        "subentry_id": part,
        **placeholders,
    }
    ir.async_create_issue(
        hass,
        DOMAIN,
        _id(entry, kind, part),
        data=data,
        is_fixable=kind in _FIXABLE,
        severity=ir.IssueSeverity.WARNING if kind in _FIXABLE else ir.IssueSeverity.ERROR,
        translation_key=kind.value,
        translation_placeholders=placeholders,
    )


def _withdraw(hass: HomeAssistant, entry: EdgeAssistConfigEntry, kind: Kind, part: str = "") -> None:
    ir.async_delete_issue(hass, DOMAIN, _id(entry, kind, part))
