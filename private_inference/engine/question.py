"""What the engine is asked: what everybody knows of a model, and its arrays.

The names of arrays are those of the engine's driver. Rows are vectors: a matrix W (n_in, n_out) is applied as x W.

    secret  query key value output (d, d), each with an optional NAME_bias (d,)
            fused (d, d), or inner (d, 4 d) and outer (4 d, d)
            product (d, d)
    public  logit_scale (), or query_scale (H, T, 1): what the logits or the queries are multiplied by
            skip_gain, feedforward_gain ()
            shift (): what takes the place of row maxima
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from private_inference.cost.block_parts import BlockParts
from private_inference.cost.execution import Execution

Protocol = Literal["SEMI2K", "CHEETAH", "ABY3"]
Arrays = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How numbers are shared.

    Parameters
    ----------
    protocol : "SEMI2K" (two parties, triples from a dealer), "CHEETAH" (two parties alone) or "ABY3" (three parties).
    ring_bits : bits of the ring.
    fraction_bits : bits after the point.
    exponential_squarings : k of e^x = (1 + x / 2^k)^(2^k).
    """

    protocol: Protocol
    ring_bits: int
    fraction_bits: int
    exponential_squarings: int


@dataclass(frozen=True, slots=True, eq=False)
class SecureBlock:
    """A block's parts with its arrays."""

    parts: BlockParts
    secret: Arrays
    public: Arrays


@dataclass(frozen=True, slots=True, eq=False)
class SecureModel:
    """Blocks, and on request the product that makes logits.

    Parameters
    ----------
    n_head : H.
    execution : score, packing and projections, of all blocks.
    blocks : one after another.
    unembedding : empty, or `unembedding` (d, V) with an optional `unembedding_bias`.
    final_norm : rows are normalized before the unembedding.
    """

    n_head: int
    execution: Execution
    blocks: tuple[SecureBlock, ...]
    unembedding: Arrays
    final_norm: bool = False

    def known(self, settings: EngineSettings) -> dict[str, object]:
        """Return what the driver reads as JSON."""
        blocks = [{"n_head": self.n_head, **asdict(self.execution), **asdict(block.parts)} for block in self.blocks]
        return {"blocks": blocks, "final_norm": self.final_norm, **asdict(settings)}

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return all arrays by their name in the question."""
        named = {f"secret/model/{name}": array for name, array in self.unembedding.items()}
        for number, block in enumerate(self.blocks):
            named |= {f"secret/{number}/{name}": array for name, array in block.secret.items()}
            named |= {f"public/{number}/{name}": array for name, array in block.public.items()}
        return named
