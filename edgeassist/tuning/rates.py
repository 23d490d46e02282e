"""Tokens a second of models of the catalogue, as measured on this device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeassist.errors import ConfigurationError
from edgeassist.models.catalogue import Entry, Variant, catalogue
from edgeassist.tuning.identity import Device, this_device
from edgeassist.tuning.kept import Kept, Rate, Result, read_kept

# A file of the same shape and quantization may keep a matrix or two in another type.
_SIZE_SHARE = 0.1


def tuned_rates(folder: Path) -> dict[str, float]:
    """Return what `edgeassist tune` has measured on this device, as `recommend` takes it."""
    try:
        return rates_of(read_kept(folder), this_device(), catalogue())
    except ConfigurationError:
        return {}


def rates_of(kept: Kept, device: Device, entries: Sequence[Entry]) -> dict[str, float]:
    """Return tokens a second, by names such as `qwen2.5-0.5b:q4_0`.

    A model is found by its shape and type, since speed does not depend on the values of weights.
    """
    here = [(each, rate) for each in kept.results if each.device.is_like(device) for rate in each.rates]
    return {
        entry.speed_name(variant): rate.decode_rate
        for entry in entries
        for variant in entry.variants
        for result, rate in here
        if _is_of(result, rate, entry, variant)
    }


def _is_of(result: Result, rate: Rate, entry: Entry, variant: Variant) -> bool:
    shape = (result.kv_heads, result.key_size, rate.quantization.lower())
    alike = shape == (entry.kv_heads, entry.head_size, variant.name.lower())
    return alike and abs(rate.size_bytes - variant.size_bytes) <= _SIZE_SHARE * variant.size_bytes
