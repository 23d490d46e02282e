"""Which calibration a device goes by: its model's, but for what is set."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from edgeassist.daemon.wiring import policy_of
from edgeassist.models import calibration as models
from edgeassist.models.calibration import key_of
from edgeassist.protocol.calibration import INSTRUCTIONS, PRIOR, Calibration
from edgeassist.serving.deciding import Deciding
from edgeassist.settings import Settings, load_settings
from edgeassist.settings.schema import DecisionSettings

FITTED = Calibration(2.0, 3.0, 4.0, 0.4, 0.5, "Judge!")


@pytest.fixture(autouse=True)
def _table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_table", lambda: {key_of("Some Model"): FITTED})


def in_force(model: str, **settings: Any) -> Calibration:
    deciding = Deciding(policy_of(Settings(decisions=DecisionSettings(**settings)), builtin=False))
    deciding.calibrated = models.calibration_for(model)
    return deciding.calibration


def test_a_known_model_has_its_own() -> None:
    assert in_force("some-model-q4_0.gguf") == Calibration(2.0, 3.0, 4.0, 0.4, 0.5, "Judge!")


def test_an_unknown_model_has_none() -> None:
    assert in_force("another") == Calibration(1, 1, 1, 0.2, PRIOR, INSTRUCTIONS)


def test_what_is_set_holds_instead() -> None:
    assert in_force("Some Model", temperature=7, threshold=0.1, prior=0) == Calibration(
        7, 7, 7, 0.1, 0, "Judge!"
    )
    assert in_force("Some Model", prior=1) == Calibration(2.0, 3.0, 4.0, 0.4, 1, "Judge!")


def test_what_is_set_of_one_kind_holds_for_that_alone() -> None:
    assert in_force("Some Model", temperature={"score": 9}) == Calibration(2.0, 9, 4.0, 0.4, 0.5, "Judge!")


def test_the_environment_may_set_it_by_kind_too() -> None:
    loaded = load_settings(
        None, environ={"EDGEASSIST_DECISIONS__TEMPERATURE": '{"choice": 2, "yes_no": 1.5}'}
    )
    assert loaded.settings.decisions.temperature == {"choice": 2, "yes_no": 1.5}


@pytest.mark.parametrize("value", ["warm", 0, 21, {"choice": 0}, {"noul": 2}, "{", [1]])
def test_what_is_no_temperature_is_refused_in_one_sentence(value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        DecisionSettings(temperature=value)
    (error,) = refused.value.errors()
    assert 'must be "auto", a number from 0.05 to 20, or a table of such numbers by kind' in error["msg"]
