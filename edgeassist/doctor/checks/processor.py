"""Whether the engine makes full use of the processor: llama.cpp's build, the number of threads. Sans-I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from edgeassist.device.cores import CpuSnapshot, choose_threads
from edgeassist.doctor.finding import ok, problem, skipped, warning
from edgeassist.protocol.findings import Finding

# An instruction set's name in /proc/cpuinfo → its name in llama.cpp, and the flags that build for it.
_WORTH_HAVING = {
    "asimddp": ("DOTPROD", "-DGGML_NATIVE=OFF -DGGML_CPU_ARM_ARCH=armv8.2-a+dotprod+fp16"),
    "avx2": ("AVX2", "-DGGML_NATIVE=ON"),
}


@dataclass(frozen=True, slots=True)
class BuildSnapshot:
    """How llama.cpp was built, and the processor that it runs on.

    Attributes:
        cpu_features: The processor's instruction sets, by their names in /proc/cpuinfo.
        build: The library's system info, `AVX2 = 1 | …`; None if there is none.
        failure: Why the library can't be used; None if it can.
        unasked: Why it could not be asked; None if it could, or is not installed.
        python: The interpreter to install it for.
    """

    cpu_features: frozenset[str]
    build: str | None
    failure: str | None = None
    unasked: str | None = None
    python: str = "python"


def check_build(snapshot: BuildSnapshot) -> Iterator[Finding]:
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


def _rebuild(snapshot: BuildSnapshot, flags: str) -> str:
    # If SOURCE_DATE_EPOCH is set, llama.cpp is built for a generic processor.
    arguments = f'CMAKE_ARGS="{flags}" ' if flags else ""
    return (
        f"env -u SOURCE_DATE_EPOCH {arguments}{snapshot.python} -m pip install --force-reinstall --no-deps "
        "--no-cache-dir --no-binary llama-cpp-python llama-cpp-python"
    )


def check_threads(cpus: CpuSnapshot, configured: int | None, unit_quota: float | None) -> Iterator[Finding]:
    """Judge the number of threads.

    Args:
        cpus: The processors that this process may use.
        configured: The setting `engine.threads`; None for "auto".
        unit_quota: The service's `CPUQuota=`, in CPUs; None without one.
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
