"""The order in which sequences are trained on: a new shuffle each epoch, known for every step without the steps before it.

So the place in the data is the number of the step, and a resumed run goes on exactly where it stopped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mechanisms.validation import whole_number


class SequenceOrder:
    """Batches of sequence numbers.

    Parameters
    ----------
    n_sequences, batch_size : how many there are, and how many a step takes; a batch may reach into the next epoch.
    seed : of all shuffles.

    Examples
    --------
    >>> order = SequenceOrder(4, 2, seed=0)
    >>> sorted([*order.batch(0), *order.batch(1)]) == [0, 1, 2, 3]
    True
    """

    def __init__(self, n_sequences: int, batch_size: int, *, seed: int) -> None:
        self.n_sequences, self.batch_size = whole_number(1, n_sequences=n_sequences), whole_number(1, batch_size=batch_size)
        self._seed = seed
        self._shuffles: dict[int, NDArray[np.int64]] = {}

    def batch(self, step: int) -> NDArray[np.int64]:
        """Return the numbers of a step's sequences, counted from 0, shape (batch_size,)."""
        places = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs = (places // self.n_sequences).tolist()
        self._shuffles = {epoch: self._shuffle(epoch) for epoch in range(epochs[0], epochs[-1] + 1)}
        return np.array([self._shuffles[epoch][place] for epoch, place in zip(epochs, places % self.n_sequences, strict=True)])

    def _shuffle(self, epoch: int) -> NDArray[np.int64]:
        known = self._shuffles.get(epoch)
        return np.random.default_rng([self._seed, epoch]).permutation(self.n_sequences) if known is None else known
