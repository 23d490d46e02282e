from edgeassist.bench.figures import DEVICE, Better, Figure, Outcome, Repetition, Spread, compare
from edgeassist.bench.machine import read_machine
from edgeassist.bench.run import Measured, Result
from edgeassist.bench.scenarios import Name
from edgeassist.bench.table import sides_of


def test_the_device_comes_first_although_another_began() -> None:
    rate = Figure("rate", "tokens/s", Better.HIGHER)
    outcomes = {"other": Outcome({rate.name: 2.0}), DEVICE: Outcome({rate.name: 1.0})}
    repetition = Repetition(outcomes)
    measured = Measured(
        Name.SINGLE, (compare(rate, [repetition]),), {}, (repetition,), Spread(0.0, 0.0, 0.0), disturbed=0
    )
    machine = read_machine(library="")
    result = Result("model", 1, (measured,), (), False, {}, {}, machine)  # noqa: FBT003 - not interrupted
    assert sides_of(result) == [DEVICE, "other"]
