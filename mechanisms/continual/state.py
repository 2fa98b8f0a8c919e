"""A continual counter that survives crashes: `stored_release` with a counter's own questions and its fast batches."""

from __future__ import annotations

import os
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.continual.counter import ContinualCounter, Release, Releases
from mechanisms.continual.counter_options import CounterOptions
from mechanisms.continual.durable_file import DurableFile
from mechanisms.continual.stored_release import StoredRelease, opened
from mechanisms.noise.source import NoiseSource


class StoredCounter(StoredRelease[ArrayLike, Release]):
    """A `ContinualCounter` whose state lives in a file; made by `open_counter`, a context manager.

    Attributes
    ----------
    counter : the counter in memory; its parameters, predicted errors and guarantee.
    epoch : how often the file has been opened.
    """

    def __init__(self, file: DurableFile, counter: ContinualCounter) -> None:
        self.counter = counter
        super().__init__(file, counter)

    def release_many(self, X: ArrayLike) -> Releases:
        """Take many steps and write once; they are all on disk before any is returned."""
        units = self.counter.design_.domain.steps(X)
        releases = self.counter.in_values(self._taken(units))
        return releases[:, 0] if self.counter.design_.domain.dim == 1 else releases

    def variance(self, t: ArrayLike) -> float | NDArray[np.float64]:
        """Return the variance of releases, see `ContinualCounter.variance`."""
        return self.counter.variance(t)

    def error_bound(self, beta: float, simultaneous: bool = True, *, n_steps: int | None = None) -> float:
        """Return what errors stay below, see `ContinualCounter.error_bound`."""
        return self.counter.error_bound(beta, simultaneous, n_steps=n_steps)


def open_counter(
    path: str | os.PathLike[str], horizon: int | None, *, noise: NoiseSource | None = None, **options: Unpack[CounterOptions]
) -> StoredCounter:
    """Open a crash-safe counter: a new one where there is no file, else the stored one.

    Parameters
    ----------
    path : the state file, made with mode 0600 in a folder that exists.
    horizon, noise, options : as `ContinualCounter`; they must be those that the file was made with.

    Raises
    ------
    StateError : open in another live copy; of other parameters, damaged, or missing though its lock file says that it was used.
    ValueError, TypeError : a parameter out of its range.

    Guarantee
    ---------
    That of `ContinualCounter` for all releases of all processes that open the file one after the other.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open_counter(f"{folder}/visits.json", 365, rho=0.5) as counter:
    ...         first = counter.update(1)
    ...     with open_counter(f"{folder}/visits.json", 365, rho=0.5) as counter:
    ...         counter.update(1, step=1) == first, counter.n_seen_
    (True, 1)
    """
    counter = ContinualCounter(horizon, noise=noise, **options)
    return opened(path, lambda file: StoredCounter(file, counter))
