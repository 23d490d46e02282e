"""What a model is that writes no text: the one judgment for all who ask. Sans-I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_LANGUAGE_MODEL = "name a language model that writes text (edgeassist recommend names some)"
_ITS_MODEL = "name the file of the model that it belongs to"
_EMBEDDING = "an embedding model: it turns text into numbers for search"
_ENCODER_DECODER = "an encoder-decoder model, such as for translation, which llama.cpp runs otherwise"
_SPEECH = "a model that makes speech"
_HEARING = "a model that writes down speech"
_PICTURES = "a model that draws pictures"
_DRAFT = "a draft model: it only guesses what a larger model will say"
_DIFFUSION = "a diffusion model: it fills in a whole text at once, and EdgeAssist streams token by token"
_PROJECTOR = "a projector (mmproj): what turns pictures or sound into a language model's input"

# What `general.type` says of files that are no model (llama.cpp's gguf-py).
_FILES = {
    "adapter": ("an adapter (LoRA): what changes another model a little", _ITS_MODEL),
    "mmproj": (_PROJECTOR, _ITS_MODEL),
    "imatrix": ("an importance matrix: what a quantizer reads", _LANGUAGE_MODEL),
}
# The libraries' names of architectures: llama.cpp's (src/llama-arch.cpp), those that others give to files of
# pictures, and `model.type` of ONNX Runtime GenAI.
_ARCHITECTURES = {
    architecture: (what, todo)
    for names, what, todo in (
        (
            "bert modern-bert nomic-bert nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert "
            "gemma-embedding llama-embed t5encoder",
            _EMBEDDING,
            _LANGUAGE_MODEL,
        ),
        ("t5 marian-ssru", _ENCODER_DECODER, _LANGUAGE_MODEL),
        ("wavtokenizer-dec qwen3tts pockettts", _SPEECH, _LANGUAGE_MODEL),
        ("whisper moonshine parakeet nemotron_speech", _HEARING, _LANGUAGE_MODEL),
        ("flux sd1 sd3 sdxl qwen_image lumina2 wan hidream ltxv cosmos", _PICTURES, _LANGUAGE_MODEL),
        ("eagle3 dflash gemma4-assistant", _DRAFT, _ITS_MODEL),
        ("dream llada llada-moe rnd1", _DIFFUSION, _LANGUAGE_MODEL),
        ("clip", _PROJECTOR, _ITS_MODEL),
        ("controlvector", "a control vector: what steers another model", _ITS_MODEL),
    )
    for architecture in names.split()
}
# llama.cpp's pooling types: converters write them for models that were trained to give one vector for a text.
_POOLED = {
    1: _EMBEDDING,
    2: _EMBEDDING,
    3: _EMBEDDING,
    4: "a reranker: it says how well a text fits a question",
}


@dataclass(frozen=True, slots=True)
class Traits:
    """What tells the kind of a model.

    Attributes:
        architecture: The library's name for it, such as `qwen2`; empty where the file has none.
        file: GGUF's `general.type`.
        pooling: GGUF's `<architecture>.pooling_type`; 0: none.
        causal: Whether a token sees only those before it.
        weights: Whether it has any.
    """

    architecture: str
    file: str = "model"
    pooling: int = 0
    causal: bool = True
    weights: bool = True


def objection(traits: Traits) -> str | None:
    """Return what a model is that can't write an answer, and what to use instead; None for one that can."""
    return next(_objections(traits), None)


def _objections(traits: Traits) -> Iterator[str]:
    if traits.file in _FILES:
        yield _said(*_FILES[traits.file])
    if traits.architecture in _ARCHITECTURES:
        what, todo = _ARCHITECTURES[traits.architecture]
        noun, colon, rest = what.partition(":")
        yield _said(f"{noun} ({traits.architecture}){colon}{rest}", todo)
    if not traits.weights:
        yield _said("a file without weights, such as a vocabulary", _LANGUAGE_MODEL)
    if traits.pooling in _POOLED:
        yield _said(_POOLED[traits.pooling], _LANGUAGE_MODEL)
    if not traits.causal:
        yield _said(f"{_EMBEDDING}, and its attention is not causal", _LANGUAGE_MODEL)


def _said(what: str, todo: str) -> str:
    return f"is {what}; {todo}"
