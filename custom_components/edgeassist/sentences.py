"""A failure in the user's language."""

from __future__ import annotations

from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.translation import async_get_translations

from .const import DOMAIN
from .failures import Failure

# Home Assistant's pipelines say `zh-CN`, its texts are named `zh-Hans`.
_TEXTS = {"zh": "zh-Hans", "zh-cn": "zh-Hans", "zh-sg": "zh-Hans", "zh-hans-cn": "zh-Hans"}


async def async_sentence(hass: HomeAssistant, failure: Failure, language: str) -> str:
    """Return the failure as a sentence.

    Args:
        hass: Home Assistant.
        failure: What went wrong.
        language: As a pipeline says it: `en`, `de-CH`, `zh-CN`.
    """
    named = _TEXTS.get(language.lower()) or language.split("-", maxsplit=1)[0].lower()
    # `zh-Hans` itself, whose region is none.
    named = "zh-Hans" if named == "zh" else named
    key = f"component.{DOMAIN}.exceptions.{failure.why}.message"
    texts = await async_get_translations(hass, named, "exceptions", [DOMAIN])
    text = texts.get(key) or str(failure)
    return text.format_map(_Placeholders(failure.placeholders))


def error_of(failure: Failure) -> HomeAssistantError:
    """Return the failure as Home Assistant's own error, for an action's caller."""
    return HomeAssistantError(
        translation_domain=DOMAIN,
        translation_key=failure.why.value,
        translation_placeholders=dict(failure.placeholders),
    )


class _Placeholders(dict[str, str]):
    """A placeholder that is not given stays empty, rather than no sentence at all."""

    def __missing__(self, key: str) -> str:
        return ""
