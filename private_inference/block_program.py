"""What a model does at inference, as a list of operations on secret-shared matrices: the base of the census and of the cost.

A product has the shape (m, k, n) for (m, k) x (k, n), both factors secret; every other operation works on (rows, columns). `matrices` of
equal shape, for example all heads, are one operation. What costs nothing under secret sharing (reshaping, additions, biases) is left out,
except the two residual additions, which stand there to make a block readable.

Symbols: L layers, H heads, d width, d_k = d / H, T context.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from private_inference.config import PIGPTConfig

PRODUCTS = ("product", "attention_product", "output_product")  # with weights, between activations, with the output matrix
SCORES = ("softmax", "softmax_rr", "softmax_shift", "quad2", "relu_over_n", "sigmoid", "linear")
ELEMENTWISE = ("layer_norm", "gelu", "relu", "logit_scaling", "query_scaling", "gain", "residual")
KINDS = (*PRODUCTS, *SCORES, *ELEMENTWISE)


@dataclass(frozen=True, slots=True)
class Op:
    """One operation.

    Parameters
    ----------
    name : what it is for, for example "values".
    kind : one of `KINDS`; a profile has one price a kind.
    matrices : number of equal matrices.
    shape : (m, k, n) of a product, (rows, columns) of anything else.
    """

    name: str
    kind: str
    matrices: int
    shape: tuple[int, ...]

    @property
    def is_product(self) -> bool:
        """Return whether the shape is (m, k, n)."""
        return self.kind in PRODUCTS

    @property
    def inputs(self) -> int:
        """Return m k + k n of all matrices; 0 for what is no product."""
        if not self.is_product:
            return 0
        m, k, n = self.shape
        return self.matrices * (m * k + k * n)

    @property
    def elements(self) -> int:
        """Return the number of results of all matrices."""
        return self.matrices * self.shape[0] * self.shape[-1]

    @property
    def rows(self) -> int:
        """Return the number of rows of all matrices."""
        return self.matrices * self.shape[0]

    @property
    def columns(self) -> int:
        """Return the length of a row."""
        return self.shape[-1]

    @property
    def flops(self) -> int:
        """Return 2 m k n of all matrices; 0 for what is no product."""
        return 2 * self.matrices * math.prod(self.shape) if self.is_product else 0


@dataclass(frozen=True, slots=True)
class BlockProgram:
    """What one block does, in order."""

    ops: tuple[Op, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProgram:
    """What a model does.

    Parameters
    ----------
    config : the model's shape and variant.
    T : context length.
    score : how logits become weights, one of `SCORES`.
    fold : "none", "fused", "full", or "model" if a folded model said itself what is left.
    packing : number of blocks that the queries are cut into; block k of nb sees the first k T / nb keys.
    projections : "separate", three products for queries, keys and values, or "joined", one.
    scaling : where 1 / sqrt(d_k) is multiplied: "logits" or "weights" (in W_q, free).
    blocks : one program a layer.
    output : final norm and output matrix.
    """

    config: PIGPTConfig
    T: int
    score: str
    fold: str
    packing: int
    projections: str
    scaling: str
    blocks: tuple[BlockProgram, ...]
    output: tuple[Op, ...]

    @property
    def words(self) -> str:
        """Return the program in one phrase."""
        folds = {"none": "not folded", "fused": "fused FFN", "full": "folded", "model": "as the folded model is"}
        parts = [self.config.variant, f"score {self.score}", folds[self.fold], f"scaling in {self.scaling}"]
        parts += [f"causal packing {self.packing}"] if self.packing > 1 else []
        parts += ["joined projections"] if self.projections == "joined" else []
        shape = f"L={self.config.n_layer}, H={self.config.n_head}, d={self.config.n_embd}, T={self.T}"
        return f"{', '.join(parts)} ({shape})"


def merged_by_name(ops: tuple[Op, ...]) -> dict[str, list[Op]]:
    """Return the operations of each name, in the order of their first appearance."""
    groups: dict[str, list[Op]] = {}
    for op in ops:
        groups.setdefault(op.name, []).append(op)
    return groups
