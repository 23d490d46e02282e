"""What a GGUF model keeps of what it has read: as llama.cpp allocates it, which differs by architecture.

Read off the `load_arch_hparams` and `create_memory` of llama.cpp, as llama-cpp-python 0.3.36 has it. A test
lets it allocate and compares.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeassist.models.kv import STATE_VALUE_BYTES, Kept, Layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeassist.models.files.gguf_metadata import Metadata


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


@dataclass(frozen=True, slots=True)
class _Windows:
    """Which layers look back only so far, where the file does not list them.

    Attributes:
        period: One layer of so many sees all, the last of them; 0: every layer has a window.
        first: Whether it is the first of them instead.
        default: The window where the file names none; 0: then no layer has one.
        fixed: The window whatever the file names.
    """

    period: int
    first: bool = False
    default: int = 0
    fixed: int = 0


_WINDOWS = {
    "afmoe": _Windows(4),
    "cohere2": _Windows(4),
    "cohere2moe": _Windows(4, first=True),
    "exaone-moe": _Windows(4, default=128),
    "gemma2": _Windows(2, default=4096),
    "gemma3": _Windows(6),
    "gemma3n": _Windows(5),
    "gemma4": _Windows(0),
    "gpt-oss": _Windows(2),
    "granite_swa": _Windows(0),
    "laguna": _Windows(4, first=True),
    "lfm2": _Windows(0),
    "llama4": _Windows(4, default=8192, fixed=8192),
    "maple": _Windows(0),
    "mellum": _Windows(4),
    "mimo2": _Windows(0),
    "muse-glimmer": _Windows(4),
    "olmo2": _Windows(4),
    "plamo3": _Windows(8),
    "smallthinker": _Windows(4, first=True, fixed=4096),
    "spark2_5": _Windows(0),
    "step35": _Windows(0),
}
# EXAONE 4 has windows in its largest model only.
_EXAONE4_LAYERS = 64
# Only a recurrent state.
_RECURRENT = _names("mamba mamba2 rwkv6 rwkv6qwen2 rwkv7 arwkv7")
# A state in each layer that has no key/value heads.
_BY_HEADS = _names(
    "jamba granitehybrid lfm2 lfm2moe plamo2 kimi-linear kimi-k3 bailingmoe3 nemotron_h nemotron_h_moe"
)
# A state in all but each so many-th layer, unless the file lists them.
_BY_INTERVAL = {"qwen3next": 4, "qwen35": 4, "qwen35moe": 4, "minimax-01": 8}
# Both in every layer.
_BY_BOTH = frozenset({"falcon-h1"})
# Keep the latent that keys and values are made of, where the file tells the sizes of both (MLA).
_LATENT = _names("bailingmoe3 deepseek2 kimi-linear kimi-k3 mistral4")
# One KV cache for all, no windows, whatever else the file says.
_PLAIN = _names(
    "llama deci falcon grok gpt2 gptj gptneox mpt baichuan starcoder refact bloom stablelm qwen qwen2 "
    "qwen2moe qwen2vl qwen3 qwen3moe qwen3vl qwen3vlmoe phi2 phi3 phimoe plamo codeshell orion internlm2 "
    "minicpm minicpm3 gemma starcoder2 xverse command-r dbrx olmo olmoe openelm arctic deepseek deepseek2 "
    "deepseek2-ocr chatglm glm4 glm4moe bitnet jais jais2 nemotron exaone exaone4 granite granitemoe "
    "graniteswitch chameleon plm bailingmoe bailingmoe2 dots1 arcee ernie4_5 ernie4_5-moe hunyuan-moe "
    "hunyuan-dense hunyuan_vl hy_v3 smollm3 seed_oss grovemoe apertus hrm_text minimax-m2 cogvlm "
    "pangu-embedded mistral3 mistral4 paddleocr maincoder talkie nanbeige"
)
_KNOWN = _PLAIN | _WINDOWS.keys() | _RECURRENT | _BY_HEADS | _BY_INTERVAL.keys() | _BY_BOTH
# Gemma 3n's layers from here on look at what earlier ones keep.
_GEMMA3N_KEEPING = 20
# Each sequence has a stream of its own.
_APART = frozenset({"deepseek4"})


def kept_by(metadata: Metadata) -> Kept:
    """Return what the model keeps; an upper bound for an architecture that is not known here.

    Raises:
        ModelError: The file does not tell, so it is no language model.
    """
    model = _Model(metadata)
    if metadata.architecture not in _KNOWN:
        return model.most()
    recurrent = model.recurrent()
    windows = model.windows(recurrent)
    groups = Counter(
        model.layer(at, windows[at]) for at in range(model.layers) if model.keeps(at, recurrent[at])
    )
    return Kept(
        layers=tuple(
            Layers(count=count, heads=heads, key_size=key, value_size=value, window=window)
            for (heads, key, value, window), count in groups.items()
        ),
        state_bytes=sum(recurrent[: model.trunk]) * model.state_bytes(),
    )


class _Model:
    def __init__(self, metadata: Metadata) -> None:
        self._of = metadata
        self._name = metadata.architecture
        self.layers = metadata.layers()
        # Layers that guess tokens ahead (MTP), which nobody asks.
        self._ahead = min(metadata.number("nextn_predict_layers", 0), self.layers)
        self.trunk = self.layers - self._ahead
        self._width = metadata.number("embedding_length")
        self._heads = metadata.per_layer("attention.head_count", self.layers, [0] * self.layers)
        self._kv_heads = metadata.per_layer("attention.head_count_kv", self.layers, self._heads)
        heads = next((each for each in self._heads if each), 0)
        size = self._width // heads if heads else 0
        self._key = metadata.number("attention.key_length", size)
        self._value = metadata.number("attention.value_length", size)
        if self._name == "nanbeige":
            self._loop(metadata.number("num_loops", 1))
        if self._name == "graniteswitch":
            # A layer more, with one head, tells which adapter is on.
            self.layers, self.trunk = self.layers + 1, self.trunk + 1
            self._ahead = 0
            self._kv_heads.append(1)

    def _loop(self, times: int) -> None:
        """Go through the layers several times, each time with entries of their own."""
        self.layers, self.trunk = self.layers * times, self.trunk * times
        self._kv_heads *= times

    def recurrent(self) -> list[bool]:
        """Return which layers have a recurrent state."""
        if self._name in _RECURRENT or self._name in _BY_BOTH:
            return [True] * self.layers
        if self._name in _BY_HEADS:
            inner = self._feed_forward()
            return [
                at < self.trunk and not heads and not inner[at] for at, heads in enumerate(self._kv_heads)
            ]
        if (interval := _BY_INTERVAL.get(self._name)) is not None:
            interval = max(1, self._of.number("full_attention_interval", interval))
            by_interval = [int(at < self.trunk and (at + 1) % interval != 0) for at in range(self.layers)]
            listed = self._of.per_layer("attention.recurrent_layers", self.layers, by_interval)
            return [bool(each) and at < self.trunk for at, each in enumerate(listed)]
        return [False] * self.layers

    def _feed_forward(self) -> list[int]:
        """Return the feed-forward sizes of layers that are nothing else where they have one (Nemotron H)."""
        if not self._name.startswith("nemotron_h"):
            return [0] * self.layers
        return self._of.per_layer("feed_forward_length", self.layers, [0] * self.layers)

    def windows(self, recurrent: Sequence[bool]) -> list[int]:
        """Return each layer's window; 0 where it sees all."""
        rule = _WINDOWS.get(self._name)
        if self._name == "exaone4" and self.trunk == _EXAONE4_LAYERS:
            rule = _Windows(4, default=4096)
        window = 0 if rule is None else self._of.number("attention.sliding_window", rule.default)
        if rule is None or not window:
            return [0] * self.layers
        if self._name == "lfm2":
            has = [at < self.trunk and not state for at, state in enumerate(recurrent)]
        elif self._of.is_list("attention.sliding_window_pattern"):
            has = [
                bool(each) for each in self._of.per_layer("attention.sliding_window_pattern", self.layers, ())
            ]
        else:
            period = self._of.number("attention.sliding_window_pattern", rule.period)
            has = [at < self.trunk and _has_window(at, period, first=rule.first) for at in range(self.layers)]
        return [(rule.fixed or window) if each else 0 for each in has]

    def keeps(self, at: int, recurrent: bool) -> bool:  # noqa: FBT001 - a column of a table
        """Whether a layer has a KV cache."""
        if self._name in _RECURRENT:
            return False
        if self._name in _BY_BOTH:
            return True
        if self._name in _BY_HEADS:
            return not recurrent and not self._feed_forward()[at]
        if self._name in _BY_INTERVAL or self._ahead < self.layers:
            return at < min(self.trunk, self._keeping()) and not recurrent
        return at < self._keeping()

    def _keeping(self) -> int:
        """Return from which layer on they look at what earlier ones keep."""
        if self._name == "gemma3n":
            return _GEMMA3N_KEEPING
        if self._name == "gemma4":
            return max(0, self.layers - self._of.number("attention.shared_kv_layers", 0))
        return self.layers

    def layer(self, at: int, window: int) -> tuple[int, int, int, int]:
        """Return a layer's heads, the sizes of its keys and values, and its window."""
        key, value = self._key, self._value
        if window:
            key = self._of.number("attention.key_length_swa", key)
            value = self._of.number("attention.value_length_swa", value)
        if self._name in _LATENT and self._is_latent():
            value = 0
        return self._kv_heads[at], key, value, window

    def _is_latent(self) -> bool:
        return bool(
            self._of.number("attention.key_length_mla", 0)
            and self._of.number("attention.value_length_mla", 0)
        )

    def most(self) -> Kept:
        """Return more than any architecture keeps that llama.cpp knows."""
        key = max(self._key, self._of.number("attention.key_length_swa", 0))
        value = max(self._value, self._of.number("attention.value_length_swa", 0))
        layers = [Layers(count=self.layers, heads=max(self._kv_heads), key_size=key, value_size=value)]
        if indexed := self._of.number("attention.indexer.key_length", 0):
            # A second cache of what is looked for.
            layers.append(Layers(count=self.layers, heads=1, key_size=3 * indexed, value_size=value))
        return Kept(
            layers=tuple(layers),
            state_bytes=self.layers * self.state_bytes(),
            apart=self._name in _APART,
            exact=False,
        )

    def state_bytes(self) -> int:
        """Return the bytes of one layer's recurrent state."""
        number = self._of.number
        heads = self._heads[0]
        if wkv := number("wkv.head_size", 0):
            values = number("token_shift_count", 2) * self._width + self._width * wkv
        elif cache := number("shortconv.l_cache", 0):
            values = self._width * (cache - 1)
        elif kda := number("kda.head_dim", 0):
            values = 3 * (max(0, number("ssm.conv_kernel", 0) - 1) or 3) * heads * kda + kda * kda * heads
        elif self._name == "minimax-01":
            values = self._key * self._key * heads
        else:
            inner, state = number("ssm.inner_size", 0), number("ssm.state_size", 0)
            channels = inner + 2 * number("ssm.group_count", 0) * state
            values = max(0, number("ssm.conv_kernel", 0) - 1) * channels + state * inner
        # What Qwen's n-gram embeddings look back on.
        past = max(0, number("ple.conv_kernel", 0) - 1) * number("ple.ngram_size", 0)
        values += past * number("hyper_connection.count", 0) * self._width
        return values * STATE_VALUE_BYTES


def _has_window(at: int, period: int, *, first: bool) -> bool:
    if period == 0:
        return True
    return at % period != 0 if first else at % period < period - 1
