"""Which calibration a device goes by: its model's, but for what is set."""

from __future__ import annotations

import pytest

from edgeassist.daemon.wiring import calibration_of, policy_of
from edgeassist.models import calibration as models
from edgeassist.models.calibration import key_of
from edgeassist.serving.deciding import Deciding
from edgeassist.serving.scores import Calibration
from edgeassist.settings import Settings
from edgeassist.settings.schema import DecisionSettings

FITTED = models.Calibration(2.0, 3.0, 4.0, 0.4, 0.5, "Judge!")


@pytest.fixture(autouse=True)
def _table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_table", lambda: {key_of("Some Model"): FITTED})


def in_force(model: str, **settings: float) -> Calibration:
    deciding = Deciding(policy_of(Settings(decisions=DecisionSettings(**settings)), builtin=False))
    deciding.calibrated = calibration_of(model)
    return deciding.calibration


def test_a_known_model_has_its_own() -> None:
    assert in_force("some-model-q4_0.gguf") == Calibration(2.0, 3.0, 4.0, 0.4, 0.5, "Judge!")


def test_an_unknown_model_has_none() -> None:
    unfitted = Calibration(prior=models.PRIOR, instructions=models.INSTRUCTIONS)
    assert in_force("another") == unfitted


def test_what_is_set_holds_instead() -> None:
    assert in_force("Some Model", temperature=7, threshold=0.1, prior=0) == Calibration(
        7, 7, 7, 0.1, 0, "Judge!"
    )
    assert in_force("Some Model", prior=1) == Calibration(2.0, 3.0, 4.0, 0.4, 1, "Judge!")
