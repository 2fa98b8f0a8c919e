"""Where a stack of linear maps can be hidden in changes of basis, and where one has to be computed.

The residual stream X of layer l is kept as R with X = R P_l. The map M_l then only changes the basis, P_{l+1} = P_l M_l, and costs nothing;
but whatever is written to the stream must be multiplied by P_l^{-1}. Layers are cut into segments, and each segment has a layer m with
P_m = I, its reference:

    P_l = M_m ... M_{l-1}  for l >= m,    P_l^{-1} = M_l ... M_{m-1}  for l < m
    the embeddings are multiplied by M_0 ... M_{m-1}, the output matrix by M_m ... M_{L-1}
    between two segments R <- R (M_m ... M_{m'-1}), m and m' their references: one d x d product, computed

A fixed-point engine rounds R by an absolute amount, which P_l enlarges in some directions by cond(P_l) against others: about log2 cond(P_l)
bits are lost. A reference in the middle makes the condition numbers of both ends about the square root of what P_0 = I gives, so segments
are about twice as long for the same limit. A map at a boundary is never inverted, nor is the last one.

The segments are as few as the limit allows, and among those the ones whose largest condition number is smallest (shortest path over the
cuts; a segment's reference minimizes its own).

Cost: L (L + 1) / 2 singular value decompositions of d x d.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mechanisms.errors import FoldingError
from private_inference.folding.conditioning import condition_number


class Basis(NamedTuple):
    """P_l, or its inverse where that is the product of maps."""

    product: Tensor
    inverted: bool  # whether `product` is P_l^{-1}

    def read(self, weight: Tensor) -> Tensor:
        """Return P_l W, the weight that reads R in place of X."""
        return torch.linalg.solve(self.product, weight) if self.inverted else self.product @ weight

    def write(self, weight: Tensor) -> Tensor:
        """Return W P_l^{-1}, the weight that writes to R in place of X."""
        return weight @ self.product if self.inverted else torch.linalg.solve(self.product, weight, left=False)


class LayerBasis(NamedTuple):
    """How one layer is folded."""

    basis: Basis
    product: Tensor | None  # to be computed after the layer's attention, the end of a segment
    segment: int
    condition: float  # of M_l
    running: float  # of the segment's maps up to and with M_l
    of_basis: float  # of P_l


class BasisPlan(NamedTuple):
    """The bases of a whole model."""

    start: Tensor  # of the embeddings
    layers: list[LayerBasis]
    end: Tensor  # of the output matrix


class _Segment(NamedTuple):
    first: int
    last: int
    reference: int


def plan_bases(maps: Sequence[Tensor], max_condition: float) -> BasisPlan:
    """Return each layer's basis, and those of the embeddings and the output.

    Parameters
    ----------
    maps : M_l of every layer, float64.
    max_condition : the largest condition number of a matrix that is inverted.

    Raises
    ------
    FoldingError : a map other than the last is singular, one is not finite, or every boundary between layers would need a product.
    """
    conditions = _conditions(maps)
    segments = _segments(conditions, max_condition)
    if len(segments) == len(maps) > 1:
        least = min(conditions[layer, layer + 1] for layer in range(len(maps) - 1))
        raise FoldingError(
            f"no FFN folds: the condition numbers of their maps are {least:.3g} and more, max_condition is {max_condition:g}; "
            "raise it, train with conditioning_penalty, or run the model unfolded"
        )
    references = [*(segment.reference for segment in segments), len(maps)]
    layers = []
    for number, segment in enumerate(segments):
        between = _product(maps, references[number], references[number + 1])
        for layer in range(segment.first, segment.last + 1):
            ends = layer == segment.last < len(maps) - 1
            figures = (conditions[layer, layer + 1], conditions[segment.first, layer + 1], conditions[segment.reference, layer])
            basis = _basis(maps, segment.reference, layer)
            layers.append(LayerBasis(basis, between if ends else None, number, *map(float, figures)))
    return BasisPlan(_product(maps, 0, references[0]), layers, _product(maps, references[-2], len(maps)))


def identity_plan(n_layer: int, width: int) -> BasisPlan:
    """Return the plan that changes nothing, for blocks whose FFN stays or is absent."""
    identity = torch.eye(width, dtype=torch.float64)
    return BasisPlan(identity, [LayerBasis(Basis(identity, False), None, 0, 1.0, 1.0, 1.0)] * n_layer, identity)


def _conditions(maps: Sequence[Tensor]) -> NDArray[np.float64]:
    """Return the condition numbers of M_i ... M_{j-1}, shape (L + 1, L + 1), symmetric, 1 where i = j."""
    table = np.ones((len(maps) + 1, len(maps) + 1))
    for layer, matrix in enumerate(maps):
        if not bool(torch.isfinite(matrix).all()):
            raise FoldingError(f"the FFN's map of layer {layer} overflows, so the run has diverged; fold an earlier checkpoint")
    for start in range(len(maps)):
        for stop in range(start + 1, len(maps) + 1):
            table[start, stop] = table[stop, start] = condition_number(_product(maps, start, stop))
        if start + 1 < len(maps) and np.isinf(table[start, start + 1]):
            raise FoldingError(f"the FFN's map of layer {start} is singular: train with conditioning_penalty, or run the model unfolded")
    return table


def _segments(conditions: NDArray[np.float64], limit: float) -> list[_Segment]:
    """Return the fewest segments within the limit, and of those the best conditioned."""
    best: list[tuple[int, float, list[_Segment]]] = [(0, 1.0, [])]  # of the layers before each cut: how many, the worst, which
    for stop in range(1, len(conditions)):
        options = []
        for first in range(stop):
            inside = conditions[first:stop, first:stop].max(axis=1)  # by reference layer
            reference = int(inside.argmin())
            n_before, worst, before = best[first]
            if inside[reference] <= limit:
                segment = _Segment(first, stop - 1, first + reference)
                options.append((n_before + 1, max(worst, float(inside[reference])), [*before, segment]))
        best.append(min(options))
    return best[-1][2]


def _basis(maps: Sequence[Tensor], reference: int, layer: int) -> Basis:
    inverted = layer < reference
    return Basis(_product(maps, *((layer, reference) if inverted else (reference, layer))), inverted)


def _product(maps: Sequence[Tensor], start: int, stop: int) -> Tensor:
    """Return M_start ... M_{stop-1}; I if there are none."""
    product = torch.eye(len(maps[0]), dtype=maps[0].dtype)
    for matrix in maps[start:stop]:
        product = product @ matrix
    return product
