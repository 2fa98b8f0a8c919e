"""What a model does at inference, as a list of operations on secret-shared matrices: the base of the census and of the cost.

A product has the shape (m, k, n) for (m, k) x (k, n), both factors secret; every other operation works on (rows, columns). `matrices` of
equal shape, for example all heads, are one operation, and so are all pieces of a causal square that are scored at once. What costs nothing
under secret sharing (reshaping, additions, biases) is left out, except the two residual additions, which make a block readable.

Symbols: L layers, H heads, d width, d_k = d / H, T context.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from private_inference.config import PIGPTConfig
from private_inference.cost.execution import SCORES, Execution

PRODUCTS = ("product", "attention_product", "output_product")  # with weights, between activations, with the output matrix
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
    pieces : more than 1 for a causal square (T, T) whose queries are cut in so many, and that has only the chunks that a query sees.
    """

    name: str
    kind: str
    matrices: int
    shape: tuple[int, ...]
    pieces: int = 1

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
        return self.matrices * self.shape[0] * self.shape[-1] * (self.pieces + 1) // (2 * self.pieces)

    @property
    def rows(self) -> int:
        """Return the number of rows of all matrices."""
        return self.matrices * self.shape[0]

    @property
    def halvings(self) -> int:
        """Return how often halves of all rows are compared until one element a row is left: in each chunk, then over a row's chunks."""
        return math.ceil(math.log2(self.shape[-1] // self.pieces)) + math.ceil(math.log2(self.pieces))

    @property
    def flops(self) -> int:
        """Return 2 m k n of all matrices; 0 for what is no product."""
        return 2 * self.matrices * math.prod(self.shape) if self.is_product else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProgram:
    """What a model does.

    Parameters
    ----------
    config : the model's shape and variant.
    T : context length.
    execution : score, packing and projections.
    fold : "none", "fused", "full", or "model" if a folded model said itself what is left.
    scaling : where 1 / sqrt(d_k) is multiplied: "logits", "queries" (with a temperature for each position) or "weights" (in W_q, free).
    blocks : the operations of each layer, in order.
    output : final norm and output matrix.
    """

    config: PIGPTConfig
    T: int
    execution: Execution
    fold: str
    scaling: str
    blocks: tuple[tuple[Op, ...], ...]
    output: tuple[Op, ...]

    @property
    def ops(self) -> tuple[Op, ...]:
        """Return the operations of all blocks."""
        return tuple(op for block in self.blocks for op in block)

    @property
    def words(self) -> str:
        """Return the program in one phrase."""
        folds = {"none": "not folded", "fused": "fused FFN", "full": "folded", "model": "as the folded model is"}
        parts = [self.config.variant, self.execution.words, folds[self.fold], f"scaling in {self.scaling}"]
        shape = f"L={self.config.n_layer}, H={self.config.n_head}, d={self.config.n_embd}, T={self.T}"
        return f"{', '.join(parts)} ({shape})"


def merged_by_name(ops: tuple[Op, ...]) -> dict[str, list[Op]]:
    """Return the operations of each name, in the order of their first appearance."""
    groups: dict[str, list[Op]] = {}
    for op in ops:
        groups.setdefault(op.name, []).append(op)
    return groups
