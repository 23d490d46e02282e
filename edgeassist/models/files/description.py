"""What a reader tells about a model, whatever its file format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeassist.models.fit import Weights

# What publishers call a template for conversations with tools, where a model has several.
FOR_TOOLS = "tool_use"
# Of a path and what it was made for.
OTHER_BUILD = "{} is a build for {}: on a CPU it is slow or fails; take the one for CPUs (`cpu-int4-…`)"


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
        made_for: What else than a CPU it was built for, such as CUDA; empty: nothing.
        template: Its chat template, a Jinja2 text; None without one.
        template_for_tools: Another for conversations with tools.
    """

    files: tuple[Path, ...] = ()
    name: str
    architecture: str
    layers: int
    quantization: str
    main_type: str = ""
    parameters: int = 0
    made_for: str = ""
    template: str | None = None
    template_for_tools: str | None = None
