"""`python -m tests.fuzz.guided TARGET [OPTIONS OF LIBFUZZER]`: one target, guided by lines that are reached.

It needs atheris (`pip install atheris`), which is in no lock: it has no wheels for aarch64. `tests.fuzz` goes
by what becomes of inputs, which costs less for each; this one finds what hides behind several conditions. It
ends at the first fault, and keeps the input in `build/fuzz`.
"""

from __future__ import annotations

import logging
import sys
from random import Random

import atheris

from tests.fuzz.run import FAILURES

with atheris.instrument_imports(include=["edgeassist", "custom_components", "jsonpath"]):
    from tests.fuzz.targets import all_targets

    TARGETS = all_targets()


def main() -> None:
    """Run libFuzzer, which ends the process."""
    name, *options = sys.argv[1:]
    target = TARGETS[name]
    seeds = list(target.seeds())
    corpus = FAILURES / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)  # noqa: S311 - it is to be repeatable
        donor = random.choice(seeds)
        return target.mutate(random, bytes(data) or donor, donor)[:most]

    logging.disable(logging.CRITICAL)
    arguments = [sys.argv[0], f"-artifact_prefix={FAILURES}/{name}-", "-timeout=20", *options, str(corpus)]
    atheris.Setup(arguments, target.take, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
