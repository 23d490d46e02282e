"""Prints what llama.cpp was built with: a program of its own, since a missing instruction would end it."""

from __future__ import annotations

from edgeassist.engine.backends.llama.binding import llama_cpp


def main() -> None:
    """Print it."""
    print(llama_cpp.llama_print_system_info().decode())  # noqa: T201 - what this program is for


if __name__ == "__main__":
    main()
