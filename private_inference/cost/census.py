"""How many nonlinear operations a model has, on how many elements, and how many floating-point operations its products take.

    softmax L H matrices of T x T;  LayerNorm 2 L of T x d, and the final one;  activation L of T x 4 d
    FLOPs:  FFN 16 d^2 T L, one matrix 2 d^2 T L;  attention L (8 d^2 T + 3 T^2 d) as published, or + 4 T^2 d

The published count takes all of Q K^T and the causal half of A V; the full one takes all of both, which is what an engine computes
without causal packing.

References
----------
Jha, Reagen, Entropy-Guided Attention for Private LLMs, PPAI at AAAI 2025, table 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mechanisms.json_ready import JsonValue, json_ready
from mechanisms.validation import one_of
from private_inference.cost.block_parts import Fold
from private_inference.cost.operations import ModelProgram, Op, merged_by_name
from private_inference.cost.program import program_of
from private_inference.cost.text import as_text, census_figures, census_table

if TYPE_CHECKING:
    from private_inference.cost.program import ModelOrConfig

AttentionCount = Literal["published", "full"]
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class CensusRow:
    """All operations of one name.

    Parameters
    ----------
    name, kind : what it is for, and its kind.
    matrices : their number in the whole model.
    shape : of one; (m, k, n) for a product.
    elements : results of all of them.
    """

    name: str
    kind: str
    matrices: int
    shape: tuple[int, ...]
    elements: int

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {name: json_ready(getattr(self, name)) for name in ("name", "kind", "matrices", "shape", "elements")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """What a model computes for one context.

    Parameters
    ----------
    program : the program in a phrase.
    T : context length.
    rows : its operations; embedding left out, output matrix included.
    ffn_flops, attention_flops : of all layers; projections belong to attention.
    attention_count : "published" or "full".
    """

    program: str
    T: int
    rows: tuple[CensusRow, ...]
    ffn_flops: int
    attention_flops: int
    attention_count: str

    def matrices(self, kind: str) -> int:
        """Return the number of matrices of one kind, for example "softmax" or "layer_norm"."""
        return sum(row.matrices for row in self.rows if row.kind == kind)

    def elements(self, kind: str) -> int:
        """Return the number of elements of one kind."""
        return sum(row.elements for row in self.rows if row.kind == kind)

    def __str__(self) -> str:
        return as_text(census_figures(self), census_table(self))

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        numbers = {name: json_ready(getattr(self, name)) for name in ("program", "T", "ffn_flops", "attention_flops", "attention_count")}
        return {"schema_version": SCHEMA_VERSION, **numbers, "rows": [row.to_dict() for row in self.rows]}


def census(model_or_config: ModelOrConfig, T: int, *, fold: Fold = "none", attention_count: AttentionCount = "published") -> Census:
    """Count what a model computes for one context of T tokens.

    Parameters
    ----------
    model_or_config : a config, a model or a folded model.
    T : context length, at most block_size.
    fold : "none", "fused" or "full"; a folded model says itself.
    attention_count : "published" counts the causal half of A V, "full" all of it.

    Raises
    ------
    ValueError, TypeError : see `program_of`.

    Examples
    --------
    >>> from private_inference.config import PIGPTConfig
    >>> small = PIGPTConfig(n_layer=12, n_head=12, n_embd=768, block_size=128, vocab_size=50257)
    >>> counted = census(small, 128)
    >>> counted.matrices("softmax"), counted.elements("gelu"), counted.ffn_flops, counted.attention_flops
    (144, 4718592, 14495514624, 7700742144)
    """
    one_of(("published", "full"), attention_count=attention_count)
    program = program_of(model_or_config, T, fold=fold)
    ops = program.ops
    ffn = sum(op.flops for op in ops if op.name.startswith("FFN"))
    left_out = sum(op.flops for op in ops if op.name == "mixed values") // 2 if attention_count == "published" else 0
    return Census(
        program=program.words,
        T=program.T,
        rows=_rows(program),
        ffn_flops=ffn,
        attention_flops=sum(op.flops for op in ops) - ffn - left_out,
        attention_count=attention_count,
    )


def _rows(program: ModelProgram) -> tuple[CensusRow, ...]:
    return tuple(_row(name, group) for name, group in merged_by_name((*program.ops, *program.output)).items())


def _row(name: str, group: list[Op]) -> CensusRow:
    """Add up the layers; without packing all operations of one name have one shape."""
    first = group[0]
    return CensusRow(name, first.kind, sum(op.matrices for op in group), first.shape, sum(op.elements for op in group))
