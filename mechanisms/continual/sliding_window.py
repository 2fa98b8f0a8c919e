"""The sum of the last W steps, released after every step: the difference of two releases of a counter, hence free.

    window_t = P(t) - P(t - W),  P(0) = 0        Var = v ||L_t - L_{t-W}||^2 (+ rounding of two releases)

Noise of neighboring prefixes is correlated, so the difference is often less noisy than either; `variance` uses the rows of L.

Symbols: W window, P noisy prefix, v variance of a draw. Cost: a counter's, and W releases kept.

References
----------
Bolot, Fawaz, Muthukrishnan, Nikolov, Taft, Private Decayed Predicate Sums on Streams, ICDT 2013. Chan, Shi, Song, TISSEC 2011.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.continual.counter import ContinualCounter, Release, Releases
from mechanisms.continual.counter_error import draw_variance, rounding_variance
from mechanisms.continual.counter_options import CounterOptions
from mechanisms.continual.counter_statistic import CounterStatistic, whole_array
from mechanisms.continual.factorization import MOST_DENSE, Floats, left_matrix
from mechanisms.continual.state_arrays import pack_array
from mechanisms.json_ready import JsonValue
from mechanisms.noise.source import NoiseSource
from mechanisms.validation import whole_number


class SlidingWindowCounter(CounterStatistic):
    """Sums over the last W steps.

    Parameters
    ----------
    horizon : T steps, or None where it isn't known.
    window : 1 <= W.
    noise, options : as `ContinualCounter`.

    Guarantee
    ---------
    That of the `ContinualCounter` inside; windows are computed from its releases alone.

    Examples
    --------
    >>> counter = SlidingWindowCounter(100, 7, rho=50.0)
    >>> sums = [counter.update(1) for _ in range(50)]
    >>> abs(sums[-1] - 7) < 5
    True
    """

    kind = "sliding window"

    def __init__(self, horizon: int | None, window: int, *, noise: NoiseSource | None = None, **options: Unpack[CounterOptions]) -> None:
        self.window = whole_number(1, window=window)
        super().__init__(ContinualCounter(horizon, noise=noise, **options))
        self._former = np.zeros((self.window, self.counter.design_.domain.dim), dtype=np.int64)  # multiples of the grid, P(0) = 0 before

    def update(self, x: ArrayLike) -> Release:
        """Take one step and return the noisy sum of the last W; errors as `ContinualCounter.update`."""
        return self.shown(self.advance(self.checked(x)[None])[0])

    def release_many(self, X: ArrayLike) -> Releases:
        """Take many steps at once; with the same noise the releases are those of `update`."""
        sums = self.counter.in_values(self.advance(self.counter.design_.domain.steps(X)))
        return sums[:, 0] if self.counter.design_.domain.dim == 1 else sums

    def variance(self, t: int) -> float:
        """Return the variance of release t per coordinate, by the rows of L.

        Raises
        ------
        ValueError : a step outside 1 to T, or a horizon above 2,048 or unknown, for which L is not made; see `variance_bound`.
        """
        design, step = self.counter.design_, whole_number(1, t=t)
        if not design.has_horizon or design.horizon > MOST_DENSE:
            raise ValueError(f"variance is exact up to horizon {MOST_DENSE:,}, got {design.horizon:,}; take variance_bound")
        if step <= self.window:
            return float(self.counter.variance(step))
        row = self._left[step - 1] - self._left[step - 1 - self.window]
        return (float(row @ row) * draw_variance(design) + 2 * rounding_variance(design)) * design.domain.unit**2

    def variance_bound(self, t: int) -> float:
        """Return an upper bound of the variance at any horizon: the square of the sum of both standard deviations."""
        step = whole_number(1, t=t)
        former = float(self.counter.variance(step - self.window)) if step > self.window else 0.0
        return (math.sqrt(float(self.counter.variance(step))) + math.sqrt(former)) ** 2

    def checked(self, x: ArrayLike) -> NDArray[np.int64]:
        """Check one input and return it in units, shape (dim,); nothing is drawn or changed."""
        return self.counter.checked(x)

    def advance(self, units: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the sums of further steps, inputs in units (n, dim), as multiples of the grid."""
        with self._lock:
            return self._differences(self.counter.advance(units))

    def shown(self, multiples: Releases) -> Release:
        """Return one sum from its multiples of the grid, shape (dim,)."""
        return self.counter.shown(multiples)

    @cached_property
    def _left(self) -> Floats:
        return left_matrix(self.counter.factorization_)

    def _differences(self, prefixes: NDArray[np.int64]) -> NDArray[np.int64]:
        history = np.concatenate([self._former, prefixes])
        self._former = history[-self.window :]
        return np.asarray(prefixes - history[: len(prefixes)])

    def _own_state(self) -> dict[str, JsonValue]:
        return {"former": pack_array(self._former)}

    def _read_own(self, state: Mapping[str, object]) -> dict[str, object]:
        return {"_former": whole_array(state["former"], self._former.shape)}
