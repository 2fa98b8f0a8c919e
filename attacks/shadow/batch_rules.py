"""How shadow models draw their batches: Poisson batches for a number of steps, or shuffled batches for a number of epochs.

Each rule says how many steps a model takes, how many rows to expect in a batch, and draws the batches of K models.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from attacks.shadow.batches import Batch, poisson_batches
from attacks.shadow.shuffled import shuffled_batches
from mechanisms.validation import one_of, valid_sample_rate, whole_number

Streams = Sequence[np.random.Generator]

BATCHES = ("poisson", "shuffled")


@dataclass(frozen=True, slots=True)
class PoissonBatches:
    """Every member has its own coin of probability `sample_rate` at each of `steps` steps."""

    sample_rate: float
    steps: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "sample_rate", valid_sample_rate(self.sample_rate))
        object.__setattr__(self, "steps", whole_number(1, steps=self.steps))

    def n_steps(self, n_members: int) -> int:
        """Steps of a model."""
        del n_members
        return self.steps

    def rows(self, n_members: int) -> float:
        """Rows that a batch hardly ever exceeds."""
        expected = self.sample_rate * n_members
        return expected + 3 * math.sqrt(expected) + 1

    def draw(self, member: NDArray[np.bool_], streams: Streams, dtype: torch.dtype) -> Iterator[Batch]:
        """Yield one batch per step."""
        return poisson_batches(member, streams, sample_rate=self.sample_rate, steps=self.steps, dtype=dtype)


@dataclass(frozen=True, slots=True)
class EpochBatches:
    """`epochs` passes over the members, each in a fresh order and in batches of `batch_size`."""

    batch_size: int
    epochs: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "batch_size", whole_number(1, batch_size=self.batch_size))
        object.__setattr__(self, "epochs", whole_number(1, epochs=self.epochs))

    def n_steps(self, n_members: int) -> int:
        """Steps of a model."""
        return self.epochs * -(-n_members // self.batch_size)

    def rows(self, n_members: int) -> float:
        """Rows of the largest batch."""
        return float(min(self.batch_size, n_members))

    def draw(self, member: NDArray[np.bool_], streams: Streams, dtype: torch.dtype) -> Iterator[Batch]:
        """Yield one batch per step of the model with the most steps."""
        return shuffled_batches(member, streams, batch_size=self.batch_size, epochs=self.epochs, dtype=dtype)


BatchRule = PoissonBatches | EpochBatches


def batch_rule(batches: str, *, sample_rate: float | None, steps: int | None, batch_size: int | None, epochs: int | None) -> BatchRule:
    """Return the rule that a trainer's options name.

    Raises
    ------
    ValueError : an option out of range, missing, or of the other rule.
    """
    poisson: dict[str, object] = {"sample_rate": sample_rate, "steps": steps}
    shuffled: dict[str, object] = {"batch_size": batch_size, "epochs": epochs}
    is_poisson = one_of(BATCHES, batches=batches) == "poisson"
    needed, foreign = (poisson, shuffled) if is_poisson else (shuffled, poisson)
    for name, value in needed.items():
        if value is None:
            raise ValueError(f"{name} must be given with batches={batches!r}, got None; it needs {' and '.join(needed)}")
    for name, value in foreign.items():
        if value is not None:
            raise ValueError(f"{name} must be None with batches={batches!r}, got {value}; that rule takes {' and '.join(needed)}")
    if sample_rate is not None and steps is not None:
        return PoissonBatches(sample_rate, steps)
    assert batch_size is not None
    assert epochs is not None
    return EpochBatches(batch_size, epochs)
