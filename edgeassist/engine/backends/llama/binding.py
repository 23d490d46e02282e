"""llama.cpp's C interface, as llama-cpp-python declares it.

The package imports more by itself: an API for programs, chat formats, a cache on disk. Nothing here uses
that, and it takes longer to import than the rest.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

__all__ = ["llama_cpp", "version"]

_PACKAGE = "llama_cpp"
_VERSION = re.compile(r'^__version__ = "(.+)"', re.MULTILINE)

if TYPE_CHECKING:
    from llama_cpp import llama_cpp
else:

    def _declarations() -> ModuleType:
        """Return the module of the package that declares the C functions, without the package's others."""
        name = f"{_PACKAGE}.{_PACKAGE}"
        if _PACKAGE in sys.modules:
            return import_module(name)
        package = ModuleType(_PACKAGE)
        package.__path__ = find_spec(_PACKAGE).submodule_search_locations
        sys.modules[_PACKAGE] = package
        try:
            return import_module(name)
        finally:
            # Whoever wants the whole package gets it, with the same functions.
            del sys.modules[_PACKAGE]

    llama_cpp = _declarations()


def version() -> str:
    """Return that of llama-cpp-python."""
    spec = find_spec(_PACKAGE)
    found = _VERSION.search(Path(spec.origin).read_text(encoding="utf-8")) if spec and spec.origin else None
    return found[1] if found else ""
