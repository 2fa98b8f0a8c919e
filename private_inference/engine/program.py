"""What the engine is asked: which parts of a model are public, and its arrays.

The names of arrays are those of the engine's driver. Rows are vectors: a matrix W (n_in, n_out) is applied as x W.

    secret  query key value output (d, d), each with an optional NAME_bias (d,)
            fused (d, d), or inner (d, 4 d) and outer (4 d, d)
            product (d, d): applied to the block's output where a fold starts anew
    public  logit_scale (), or query_scale (H, T, 1): what the logits or the queries are multiplied by
            skip_gain, feedforward_gain ()
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from private_inference.config import Activation, Feedforward, Score

Layout = Literal["split", "joined"]
Protocol = Literal["SEMI2K", "CHEETAH", "ABY3"]
Arrays = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class BlockProgram:
    """What everybody may know of a block.

    Parameters
    ----------
    n_head : H.
    layer_norm, activation, feedforward : its parts.
    score : how logits become weights; "softmax" is the stock function with a division an element.
    packing : queries are cut into so many pieces, and logits above the diagonal's pieces are left out.
    layout : pieces are scored one after another ("split"), or at once ("joined"), with fewer messages and equal bytes.
    product : a matrix follows the attention.
    """

    n_head: int
    layer_norm: bool
    activation: Activation
    feedforward: Feedforward
    score: Score
    packing: int = 1
    layout: Layout = "split"
    product: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class BlockWeights:
    """A block's program with its arrays."""

    program: BlockProgram
    secret: Arrays
    public: Arrays


@dataclass(frozen=True, slots=True, eq=False)
class SecureModel:
    """Blocks, and on request the product that makes logits.

    Parameters
    ----------
    blocks : one after another.
    unembedding : empty, or `unembedding` (d, V) with an optional `unembedding_bias`.
    final_norm : rows are normalized before the unembedding.
    """

    blocks: tuple[BlockWeights, ...]
    unembedding: Arrays
    final_norm: bool = False

    def public_record(self) -> dict[str, object]:
        """Return what the driver reads as JSON."""
        return {"blocks": [asdict(block.program) for block in self.blocks], "final_norm": self.final_norm}

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return all arrays by their name in the question."""
        named = {f"secret/model/{name}": array for name, array in self.unembedding.items()}
        for number, block in enumerate(self.blocks):
            named |= {f"secret/{number}/{name}": array for name, array in block.secret.items()}
            named |= {f"public/{number}/{name}": array for name, array in block.public.items()}
        return named
