"""Whether the engine makes the best of the processor: how llama.cpp was built, how many threads. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from edgeassist.device.cores import CpuSnapshot, choose_threads
from edgeassist.doctor.finding import Finding, ok, problem, skipped, warning

# What the kernel calls an instruction set in /proc/cpuinfo, what llama.cpp calls it, and what it is for.
_WORTH_HAVING = {
    "asimddp": ("DOTPROD", "-DGGML_NATIVE=OFF -DGGML_CPU_ARM_ARCH=armv8.2-a+dotprod+fp16"),
    "avx2": ("AVX2", "-DGGML_NATIVE=ON"),
}


@dataclass(frozen=True, slots=True)
class WheelSnapshot:
    """How llama.cpp was built, and for what.

    Attributes:
        cpu_features: The instruction sets, as /proc/cpuinfo names them.
        build: What the library says of itself, `AVX2 = 1 | …`; None where it did not.
        failure: Why it can't be used; None where it can.
        unasked: Why it could not be asked; None where it could, or is not installed.
        python: The interpreter that it is installed for.
    """

    cpu_features: frozenset[str]
    build: str | None
    failure: str | None = None
    unasked: str | None = None
    python: str = "python"


def check_wheel(snapshot: WheelSnapshot) -> Iterator[Finding]:
    """Judge the build of llama.cpp."""
    if snapshot.build is None:
        if snapshot.failure is not None:
            yield problem("llama.cpp", snapshot.failure, _rebuild(snapshot, ""))
        if snapshot.unasked is not None:
            yield skipped("llama.cpp", f"not checked: {snapshot.unasked}")
        return
    used = set(re.findall(r"(\w+) = 1", snapshot.build))
    missing = [
        (name, flags)
        for feature, (name, flags) in _WORTH_HAVING.items()
        if feature in snapshot.cpu_features and name not in used
    ]
    for name, flags in missing:
        yield warning(
            "llama.cpp",
            f"this processor has {name}, and llama.cpp was built without it: it computes at a fraction of "
            "the speed",
            _rebuild(snapshot, flags),
        )
    if not missing:
        yield ok("llama.cpp", "built for this processor")


def _rebuild(snapshot: WheelSnapshot, flags: str) -> str:
    # With SOURCE_DATE_EPOCH set, llama.cpp's build turns the processor's own instructions off.
    arguments = f'CMAKE_ARGS="{flags}" ' if flags else ""
    return (
        f"env -u SOURCE_DATE_EPOCH {arguments}{snapshot.python} -m pip install --force-reinstall --no-deps "
        "--no-cache-dir --no-binary llama-cpp-python llama-cpp-python"
    )


def check_threads(cpus: CpuSnapshot, configured: int | None, unit_quota: float | None) -> Iterator[Finding]:
    """Judge the number of threads.

    Args:
        cpus: As this process may use them.
        configured: The setting `engine.threads`; None for "auto".
        unit_quota: What `CPUQuota=` of the service allows, in CPUs.
    """
    quotas = [quota for quota in (cpus.quota, unit_quota) if quota is not None]
    device = choose_threads(replace(cpus, quota=min(quotas, default=None)))
    if configured is None or configured <= device.threads:
        chosen = device if configured is None else choose_threads(cpus, configured)
        yield ok("threads", chosen.reason)
        return
    yield warning(
        "threads",
        f"engine.threads is {configured}, and this device gives {device.reason}: too many threads wait for "
        "each other at every step",
        'set engine.threads to "auto"',
    )
