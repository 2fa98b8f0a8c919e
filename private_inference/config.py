"""What a private-inference-friendly GPT is made of: its shape, and which nonlinear parts are left in it.

    Y = X + MHA(N1(X)),  X' = beta_l Y + (1/alpha_l) FFN(N2(Y)),  FFN(Y) = act(Y W_in) W_out  or  Y W_fused

A variant says which norm, activation and FFN a block has; names are those of the papers in small letters (SM+LN+G is `sm_ln_gelu`).

Symbols: L n_layer, H n_head, d n_embd, d_k = d / H head_size, T block_size (the longest context), V vocab_size.

References
----------
Jha, Reagen, Entropy-Guided Attention for Private LLMs, PPAI at AAAI 2025. He, Hofmann, Simplifying Transformer Blocks, ICLR 2024.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from types import MappingProxyType
from typing import Literal, get_args

from mechanisms.json_ready import JsonValue, json_record
from mechanisms.validation import in_range, one_of, positive, whole_number

SMALLEST_TEMPERATURE = 1e-4  # t never falls below it
SCHEMA_VERSION = 1

Activation = Literal["gelu", "relu", "identity"]
Feedforward = Literal["wide", "fused", "none"]  # d-4d-d, one d x d matrix, no FFN at all
WeightNorm = Literal["none", "weight", "spectral"]  # of the FFN's matrices only: static, free at inference
Temperature = Literal["none", "head", "position"]  # learnable t of shape (), (H, 1) or (H, T)
Score = Literal["softmax", "softmax_rr", "quad2", "relu_over_n", "sigmoid", "linear"]


@dataclass(frozen=True, slots=True)
class Variant:
    """Which parts a block has."""

    layer_norm: bool
    activation: Activation
    feedforward: Feedforward = "wide"
    scaled: bool = False  # learnable beta_l and 1/alpha_l
    weight_norm: WeightNorm = "none"
    tempered: bool = False  # learnable temperature unless the config says otherwise


_VARIANTS = {
    "sm_ln_gelu": Variant(True, "gelu"),
    "sm_ln_relu": Variant(True, "relu"),
    "sm_ln": Variant(True, "identity"),
    "sm_gelu": Variant(False, "gelu"),
    "sm_relu": Variant(False, "relu"),
    "sm": Variant(False, "identity"),
    "sm_wn": Variant(False, "identity", weight_norm="weight"),
    "sm_sn": Variant(False, "identity", weight_norm="spectral"),
    "sm_scffn": Variant(False, "identity", scaled=True),
    "sm_scfuffn": Variant(False, "identity", "fused", scaled=True),
    "sm_t_scfuffn": Variant(False, "identity", "fused", scaled=True, tempered=True),
    "sm_attention_only": Variant(False, "identity", "none"),
}
VARIANTS: Mapping[str, Variant] = MappingProxyType(_VARIANTS)


@dataclass(frozen=True, slots=True)
class PIGPTConfig:
    """Shape and parts of a model.

    Parameters
    ----------
    n_layer, n_head, n_embd, block_size, vocab_size : L, H, d, T, V; d is a multiple of H.
    variant : a key of `VARIANTS`.
    temperature : "auto" is "head" for tempered variants and "none" for the others; "head" folds into W_q at no cost, "position" is the
        published form, a table of (H, T) that fixes the longest context.
    temperature_init : where t starts, > 1e-4. Small, because norm-free logits are tiny at first and heads would begin uniform.
    score : how logits become weights; `softmax_rr` is softmax with one reciprocal a row.
    init_std : standard deviation of initial linear and embedding weights; 0.02 at d = 768, 0.05 at d = 64.
    tied : the output matrix is the embedding's.

    Raises
    ------
    ValueError, TypeError : a value out of its range, an unknown name, or n_embd that n_head doesn't divide.

    Examples
    --------
    >>> config = PIGPTConfig(n_layer=4, n_head=4, n_embd=64, block_size=64, vocab_size=512, variant="sm_t_scfuffn")
    >>> config.head_size, config.temperature_kind
    (16, 'head')
    """

    n_layer: int
    n_head: int
    n_embd: int
    block_size: int
    vocab_size: int
    variant: str = "sm_ln_gelu"
    temperature: Literal["auto", "none", "head", "position"] = "auto"
    temperature_init: float = 0.1
    score: Score = "softmax"
    init_std: float = 0.02
    tied: bool = True

    def __post_init__(self) -> None:
        for name in ("n_layer", "n_head", "n_embd", "block_size", "vocab_size"):
            object.__setattr__(self, name, whole_number(1, **{name: getattr(self, name)}))
        if self.n_embd % self.n_head:
            raise ValueError(f"n_embd must be a multiple of n_head, got {self.n_embd} and {self.n_head}")
        one_of(tuple(VARIANTS), variant=self.variant)
        one_of(("auto", "none", "head", "position"), temperature=self.temperature)
        one_of(get_args(Score), score=self.score)
        start = in_range(SMALLEST_TEMPERATURE, math.inf, temperature_init=self.temperature_init)
        object.__setattr__(self, "temperature_init", start)
        object.__setattr__(self, "init_std", positive(init_std=self.init_std))
        if not isinstance(self.tied, bool):
            raise TypeError(f"tied must be True or False, got {type(self.tied).__name__}")

    @property
    def parts(self) -> Variant:
        """Return what the variant's blocks have."""
        return VARIANTS[self.variant]

    @property
    def head_size(self) -> int:
        """Return d_k = d / H."""
        return self.n_embd // self.n_head

    @property
    def temperature_kind(self) -> Temperature:
        """Return the temperature that "auto" stands for."""
        if self.temperature != "auto":
            return self.temperature
        return "head" if self.parts.tempered else "none"

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record({"schema_version": SCHEMA_VERSION, **asdict(self)})

    @classmethod
    def from_dict(cls, record: Mapping[str, object]) -> PIGPTConfig:
        """Return the config of a record; keys that are unknown or missing are errors.

        Raises
        ------
        ValueError, TypeError : as above, or a record of another schema version.
        """
        version = record.get("schema_version", SCHEMA_VERSION)
        if version != SCHEMA_VERSION:
            raise ValueError(f"schema_version must be {SCHEMA_VERSION}, got {version!r}; read the record with the version that wrote it")
        known = {field.name for field in fields(cls)}
        if unknown := set(record) - known - {"schema_version"}:
            raise ValueError(f"a PIGPTConfig has no {sorted(unknown)}; it has {sorted(known)}")
        if missing := {field.name for field in fields(cls) if field.default is MISSING} - set(record):
            raise ValueError(f"a PIGPTConfig needs {sorted(missing)}; add them to the record")
        return cls(**{name: record[name] for name in known if name in record})  # type: ignore[arg-type]
