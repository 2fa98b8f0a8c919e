"""Loss and head entropies on held-out sequences; no penalty is ever part of them.

Cost: one forward pass over `n_sequences`, in batches of 64 sequences; entropies take one unfused attention more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mechanisms.json_ready import JsonValue
from private_inference.gpt import PIGPT

_BATCH = 64
_MOST_ENTROPY_SEQUENCES = 256


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model does on sequences it was not trained on.

    Parameters
    ----------
    loss : mean cross-entropy, nats per token.
    bits_per_byte : the same per byte of text: comparable between tokenizers.
    n_sequences : how many sequences it is the mean of.
    """

    loss: float
    bits_per_byte: float
    n_sequences: int

    @property
    def perplexity(self) -> float:
        """Return exp(loss), infinite where that overflows."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {
            "schema_version": 1,
            "loss": self.loss,
            "perplexity": self.perplexity if math.isfinite(self.perplexity) else "inf",
            "bits_per_byte": self.bits_per_byte,
            "n_sequences": self.n_sequences,
        }


def token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of all tokens, nats; flat, which is the fast layout."""
    return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def held_out_loss(model: PIGPT, sequences: NDArray[np.int32]) -> float:
    """Return the mean cross-entropy of sequences (n, T + 1), nats per token; not finite if the model's isn't."""
    total = 0.0
    with evaluating(model):
        for rows in _batches(sequences):
            total += float(token_loss(model(rows[:, :-1]), rows[:, 1:])) * len(rows)
    return total / len(sequences)


def held_out_entropy(model: PIGPT, sequences: NDArray[np.int32]) -> Tensor:
    """Return the entropies of at most 256 sequences' attention rows, (n, L, H, T), nats."""
    kept = sequences[:: -(-len(sequences) // _MOST_ENTROPY_SEQUENCES)]
    with evaluating(model):
        return torch.cat([model(rows[:, :-1], return_entropy=True)[1] for rows in _batches(kept)])


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode and take gradients off within the block; the mode is given back after it."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def _batches(sequences: NDArray[np.int32]) -> Iterator[Tensor]:
    for start in range(0, len(sequences), _BATCH):
        yield torch.from_numpy(sequences[start : start + _BATCH].astype(np.int64))
