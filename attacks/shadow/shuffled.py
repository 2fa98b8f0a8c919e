"""Shuffled minibatches of K models in lock-step: an epoch is a fresh permutation of a model's members, cut into batches of b.

The last batch of an epoch is short if b does not divide the number of members n_k, and is kept; every batch is divided by its own size, as
the mean loss of torch and scikit-learn. Model k permutes by its own stream, and goes from epoch to epoch without waiting for others: after
its epochs * ceil(n_k / b) steps it has size 0 rows until the last model is done. No privacy accounting covers these batches.
Cost: n_k draws per model and epoch, made when the epoch begins; one slice per model and step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray

from attacks.shadow.batches import Batch

Rows = NDArray[np.int64]

_NO_ROWS: Rows = np.empty(0, dtype=np.int64)


def shuffled_batches(
    member: NDArray[np.bool_], streams: Sequence[np.random.Generator], *, batch_size: int, epochs: int, dtype: torch.dtype = torch.float32
) -> Iterator[Batch]:
    """Yield one batch per step of the model with the most steps.

    Parameters
    ----------
    member : (K, N); row k says which records of the pool train model k.
    streams : K generators, one per model; each permutes its model's members once an epoch.
    batch_size : b, rows of every batch but an epoch's last.
    epochs : passes over the members.
    dtype : of weights and sizes.
    """
    models = [_rows_of_steps(np.flatnonzero(row), stream, batch_size, epochs) for row, stream in zip(member, streams, strict=True)]
    for rows in zip_longest(*models, fillvalue=_NO_ROWS):
        yield _batch(rows, dtype)


def _rows_of_steps(ids: Rows, stream: np.random.Generator, batch_size: int, epochs: int) -> Iterator[Rows]:
    for _ in range(epochs):
        order = stream.permutation(ids)
        for start in range(0, len(order), batch_size):
            yield order[start : start + batch_size]


def _batch(rows: Sequence[Rows], dtype: torch.dtype) -> Batch:
    sizes = [len(some) for some in rows]
    largest = max(sizes)
    if min(sizes) == largest:
        weight = torch.ones((), dtype=dtype).expand(len(rows), largest)
        return Batch(torch.from_numpy(np.stack(rows)), weight, torch.full((1, 1), largest, dtype=dtype), padded=False)
    index = np.zeros((len(rows), largest), dtype=np.int64)
    for line, some in zip(index, rows, strict=True):
        line[: len(some)] = some
    size = torch.tensor(sizes).unsqueeze(1)
    weight = torch.arange(largest) < size
    return Batch(torch.from_numpy(index), weight.to(dtype), size.clamp(min=1).to(dtype))
