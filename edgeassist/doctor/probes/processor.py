"""The processor's instruction sets, and those that llama.cpp was built with."""

from __future__ import annotations

import importlib.util
import re
import signal
import sys
from pathlib import Path

from edgeassist.device.files import ROOT, read_text
from edgeassist.doctor.checks.processor import BuildSnapshot
from edgeassist.doctor.probes.run import ask_program
from edgeassist.errors import UnsupportedError

_BUILD_MODULE = "edgeassist.engine.backends.llama.build"
_BUILD_LIMIT_S = 10.0


def probe_build(root: Path = ROOT) -> BuildSnapshot:
    """Ask llama.cpp, in a process of its own, what it was built with: loading it may crash."""
    # "flags" on x86, "Features" on ARM.
    lines = re.findall(r"^(?:flags|Features)\s*: (.*)$", read_text(root / "proc/cpuinfo") or "", re.MULTILINE)
    features = frozenset(lines[0].split()) if lines else frozenset[str]()
    if importlib.util.find_spec("llama_cpp") is None:
        return BuildSnapshot(features, None, python=sys.executable)
    build, failure, unasked = None, None, None
    try:
        ended = ask_program([sys.executable, "-P", "-m", _BUILD_MODULE], _BUILD_LIMIT_S)
        if ended.status == 0:
            build = ended.output.strip()
        elif ended.status == -signal.SIGILL:
            failure = "llama.cpp was built for another processor: it meets an instruction that this one lacks"
        else:
            said = ended.errors.strip().splitlines()
            failure = f"llama.cpp can't be loaded: {said[-1] if said else f'exit status {ended.status}'}"
    except UnsupportedError as error:
        unasked = error.message
    return BuildSnapshot(features, build, failure, unasked, sys.executable)
