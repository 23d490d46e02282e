"""What a reader tells about a model, whatever its file format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeassist.models.fit import Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile(Weights):
    """A model as its file or folder describes it.

    Attributes:
        files: Those of a GGUF model, one or several.
        name: The model's own name, or its file's.
        architecture: The library's name for the kind of model, such as `qwen2`.
        layers: The number of decoder layers.
        quantization: As the file calls it; empty where it does not tell.
        main_type: The type that most weights are stored as, which may differ: llama.cpp's types that end in
            _K need a width that is a multiple of 256. Empty where the file does not tell.
        parameters: The number of weights; 0 where the file does not tell.
        template: Its chat template, a Jinja2 text; None without one.
    """

    files: tuple[Path, ...] = ()
    name: str
    architecture: str
    layers: int
    quantization: str
    main_type: str = ""
    parameters: int = 0
    template: str | None = None
