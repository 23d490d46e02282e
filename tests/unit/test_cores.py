import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeassist.device.cores import CpuSnapshot, LogicalCpu, choose_threads


def cores(
    count: int,
    *,
    first: int = 0,
    capacity: int | None = None,
    mhz: int | None = None,
    performance: bool | None = None,
) -> list[LogicalCpu]:
    """Physical cores of one cluster, without SMT; the core id restarts at 0 as it does on ARM."""
    return [
        LogicalCpu(
            number=first + core,
            package=0,
            core=core,
            siblings=frozenset({first + core}),
            capacity=capacity,
            max_frequency_khz=None if mhz is None else mhz * 1000,
            performance_core=performance,
        )
        for core in range(count)
    ]


def smt(count: int, *, mhz: int | None = None, performance: bool | None = None) -> list[LogicalCpu]:
    """Physical cores with two threads each: core c has the processors c and c + count."""
    return [
        LogicalCpu(
            number=number,
            package=0,
            core=number % count,
            siblings=frozenset({number % count, number % count + count}),
            max_frequency_khz=None if mhz is None else mhz * 1000,
            performance_core=performance,
        )
        for number in range(2 * count)
    ]


def snapshot(
    cpus: list[LogicalCpu], *, mask: set[int] | None = None, quota: float | None = None
) -> CpuSnapshot:
    allowed = {cpu.number for cpu in cpus} if mask is None else mask
    return CpuSnapshot(frozenset(allowed), tuple(cpus), quota)


PI_4 = cores(4, capacity=1024, mhz=1800)
PI_5 = cores(4, capacity=1024, mhz=2400)
RK3588 = cores(4, capacity=397, mhz=1800) + cores(4, first=4, capacity=1024, mhz=2400)
RK3588_VENDOR = cores(4, mhz=1800) + cores(4, first=4, mhz=2400)
RK3588_NO_DMIPS = cores(4, capacity=1024, mhz=1800) + cores(4, first=4, capacity=1024, mhz=2400)
RK3399 = cores(4, mhz=1416) + cores(2, first=4, mhz=1800)
ODROID_N2 = cores(2, capacity=623, mhz=1896) + cores(4, first=2, capacity=1024, mhz=1800)
THREE_CLUSTERS = cores(4, capacity=250) + cores(3, first=4, capacity=870) + cores(1, first=7, capacity=1024)
SNAPDRAGON_865 = cores(4, mhz=1804) + cores(3, first=4, mhz=2419) + cores(1, first=7, mhz=2841)
SMT_LAPTOP = smt(4, mhz=4200)
HYBRID = smt(4, mhz=4700, performance=True) + cores(8, first=8, mhz=3500, performance=False)
HYBRID_NO_SMT = cores(4, mhz=4800, performance=True) + cores(4, first=4, mhz=3700, performance=False)
FAVOURED = smt(6, mhz=4800)[:6] + smt(6, mhz=5000)[6:]
TWO_SOCKETS = [LogicalCpu(n, package=n // 2, core=n % 2) for n in range(4)]


@pytest.mark.parametrize(
    ("machine", "threads"),
    [
        pytest.param(snapshot(PI_4), 4, id="Pi 4"),
        pytest.param(snapshot(PI_5), 4, id="Pi 5"),
        pytest.param(snapshot(cores(1)), 1, id="one core"),
        pytest.param(snapshot(cores(2, capacity=1024)), 2, id="virtual machine of two"),
        pytest.param(snapshot(SMT_LAPTOP), 4, id="SMT laptop"),
        pytest.param(snapshot(TWO_SOCKETS), 4, id="two sockets with the same core ids"),
    ],
)
def test_every_physical_core_counts_once(machine: CpuSnapshot, threads: int) -> None:
    assert choose_threads(machine).threads == threads


@pytest.mark.parametrize(
    ("machine", "threads"),
    [
        pytest.param(snapshot(RK3588), 4, id="RK3588"),
        pytest.param(snapshot(RK3588_VENDOR), 4, id="RK3588 without capacities"),
        pytest.param(snapshot(RK3588_NO_DMIPS), 4, id="RK3588 with 1024 everywhere"),
        pytest.param(snapshot(RK3399), 2, id="RK3399 without capacities"),
        pytest.param(snapshot(ODROID_N2), 4, id="little cores that clock higher"),
        pytest.param(snapshot(HYBRID), 4, id="Intel hybrid"),
        pytest.param(snapshot(HYBRID_NO_SMT), 4, id="Intel hybrid without SMT"),
    ],
)
def test_little_cores_are_left_out(machine: CpuSnapshot, threads: int) -> None:
    choice = choose_threads(machine)
    assert choice.threads == threads
    assert "performance cores allowed" in choice.reason


@pytest.mark.parametrize(
    "machine",
    [
        pytest.param(snapshot(THREE_CLUSTERS), id="by capacity"),
        pytest.param(snapshot(SNAPDRAGON_865), id="by frequency"),
    ],
)
def test_the_middle_cluster_counts_with_the_prime_core(machine: CpuSnapshot) -> None:
    assert choose_threads(machine).threads == 4


def test_favoured_cores_that_boost_higher_do_not_make_the_others_little() -> None:
    assert choose_threads(snapshot(FAVOURED)).threads == 6


def test_a_capacity_missing_on_one_core_makes_no_core_little() -> None:
    machine = snapshot([*cores(2, capacity=1024), *cores(2, first=2, capacity=400), *cores(1, first=4)])
    assert choose_threads(machine).threads == 5


@pytest.mark.parametrize(
    ("machine", "threads"),
    [
        pytest.param(snapshot(PI_5, mask={1, 3}), 2, id="two cores of a Pi 5"),
        pytest.param(snapshot(SMT_LAPTOP, mask={0, 4}), 1, id="both threads of one core"),
        pytest.param(snapshot(SMT_LAPTOP, mask={0, 1}), 2, id="one thread of each of two cores"),
        pytest.param(snapshot(SMT_LAPTOP, mask={0, 4, 5}), 2, id="one core whole, one in part"),
        pytest.param(snapshot(RK3588, mask={0, 1, 2}), 3, id="little cores only"),
        pytest.param(snapshot(RK3588, mask={3, 4, 5}), 2, id="one little core, two big ones"),
        pytest.param(snapshot(HYBRID, mask={8, 9, 10}), 3, id="efficiency cores only"),
    ],
)
def test_only_cores_in_the_affinity_mask_count(machine: CpuSnapshot, threads: int) -> None:
    assert choose_threads(machine).threads == threads


@pytest.mark.parametrize(
    ("quota", "threads"),
    [(0.05, 1), (0.5, 1), (1.0, 1), (1.5, 1), (2.0, 2), (2.5, 2), (3.99, 3), (4.0, 4), (64.0, 4), (None, 4)],
)
def test_a_quota_allows_its_whole_cpus_and_at_least_one_thread(quota: float | None, threads: int) -> None:
    assert choose_threads(snapshot(PI_5, quota=quota)).threads == threads


def test_without_topology_every_processor_counts_as_a_core() -> None:
    choice = choose_threads(CpuSnapshot(frozenset({0, 1, 2})))
    assert choice.threads == 3
    assert choice.reason == "3 threads: 3 processors allowed, each taken for a physical core"


def test_with_core_ids_alone_siblings_are_found_by_package_and_core() -> None:
    machine = snapshot([LogicalCpu(n, package=0, core=n % 2) for n in range(4)])
    assert choose_threads(machine).threads == 2


def test_when_nothing_is_known_one_thread_is_safe() -> None:
    choice = choose_threads(CpuSnapshot(frozenset()))
    assert choice.threads == 1
    assert choice.reason == "1 thread: nothing is known of the processors"


@pytest.mark.parametrize(
    ("machine", "override", "threads", "reason"),
    [
        (snapshot(PI_5), None, 4, "4 threads: 4 physical cores allowed"),
        (
            snapshot(PI_5, quota=2.5),
            None,
            2,
            "2 threads: 4 physical cores allowed, the cgroup quota allows 2.5",
        ),
        (snapshot(PI_5, quota=8.0), None, 4, "4 threads: 4 physical cores allowed"),
        (
            snapshot(PI_5, mask={2}, quota=0.5),
            None,
            1,
            "1 thread: 1 physical core allowed, the cgroup quota allows 0.5",
        ),
        (snapshot(RK3588), None, 4, "4 threads: 4 performance cores allowed, 4 slower left out"),
        (
            snapshot(PI_5),
            6,
            6,
            "6 threads, as configured: more than the 4 this device gives (4 physical cores allowed)",
        ),
        (
            snapshot(PI_5, quota=1.5),
            2,
            2,
            "2 threads, as configured: more than the 1 this device gives "
            "(4 physical cores allowed, the cgroup quota allows 1.5)",
        ),
        (
            snapshot(PI_5),
            1,
            1,
            "1 thread, as configured; this device gives 4 (4 physical cores allowed)",
        ),
        (
            snapshot(PI_5),
            4,
            4,
            "4 threads, as configured, which is what this device gives (4 physical cores allowed)",
        ),
    ],
)
def test_the_reason_is_a_sentence_for_a_person(
    machine: CpuSnapshot, override: int | None, threads: int, reason: str
) -> None:
    choice = choose_threads(machine, override)
    assert (choice.threads, choice.reason) == (threads, reason)


@pytest.mark.parametrize("override", [0, -1])
def test_an_override_below_one_is_refused(override: int) -> None:
    with pytest.raises(ValueError, match="set 1 or more"):
        choose_threads(snapshot(PI_5), override)


NUMBERS = st.integers(0, 15)
LOGICAL_CPUS = st.builds(
    LogicalCpu,
    number=NUMBERS,
    package=st.none() | st.integers(0, 1),
    core=st.none() | st.integers(0, 3),
    siblings=st.none() | st.frozensets(NUMBERS, min_size=1, max_size=3),
    capacity=st.none() | st.integers(1, 1024),
    max_frequency_khz=st.none() | st.integers(1, 6_000_000),
    performance_core=st.none() | st.booleans(),
)
SNAPSHOTS = st.builds(
    CpuSnapshot,
    allowed=st.frozensets(NUMBERS),
    cpus=st.lists(LOGICAL_CPUS, max_size=16).map(tuple),
    quota=st.none() | st.floats(min_value=0.001, max_value=1e6),
)


@given(machine=SNAPSHOTS)
def test_there_is_at_least_one_thread_and_never_more_than_the_mask_allows(machine: CpuSnapshot) -> None:
    choice = choose_threads(machine)
    assert 1 <= choice.threads <= max(1, len(machine.allowed))
    if machine.quota is not None:
        assert choice.threads <= max(1.0, machine.quota)


@given(machine=SNAPSHOTS, override=st.integers(1, 256))
def test_an_override_always_wins(machine: CpuSnapshot, override: int) -> None:
    choice = choose_threads(machine, override)
    assert choice.threads == override
    assert ("more than" in choice.reason) == (override > choose_threads(machine).threads)
