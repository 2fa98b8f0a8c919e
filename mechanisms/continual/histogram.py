"""A histogram of a stream, released after every step: which bins have been hit how often, and what follows from that for free.

Each step hits one bin, or none. The counter of one-hot vectors has the change 1 (`zero_out`) or sqrt 2 (`replace`) in L2, however many bins
there are. Whatever is computed from a release costs nothing more: the largest bins, quantiles, shares.

    top_k(k)      bins by noisy count, the largest first
    quantile(q)   first bin at which the running noisy count reaches the share q of the noisy total

Symbols: d bins, T steps. Cost: that of a counter with d coordinates.

References
----------
Jain, Raskhodnikova, Sivakumar, Smith, The Price of Differential Privacy under Continual Observation, ICML 2023. Dwork, Roth, The
Algorithmic Foundations of Differential Privacy, 2014 (post-processing).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.continual.counter import ContinualCounter, Releases
from mechanisms.continual.counter_statistic import CounterStatistic, whole_array
from mechanisms.continual.state_arrays import pack_array
from mechanisms.guarantee import Neighboring
from mechanisms.json_ready import JsonValue
from mechanisms.noise.source import NoiseSource
from mechanisms.validation import in_range, whole_number


class HistogramCounter(CounterStatistic):
    """Counts of bins after every step.

    Parameters
    ----------
    horizon : T, or None where it isn't known.
    n_bins : d >= 1.
    rho, epsilon, delta, mechanism, neighboring, noise : as `ContinualCounter`.

    Guarantee
    ---------
    That of `ContinualCounter` for one step's bin: rho-zCDP or (epsilon, delta)-DP for all releases and everything computed from them.

    Examples
    --------
    >>> histogram = HistogramCounter(100, 3, rho=50.0)
    >>> for _ in range(40):
    ...     counts = histogram.update(2)
    >>> histogram.top_k(1).tolist(), histogram.quantile(0.5)
    ([2], 2)
    """

    kind = "histogram"

    def __init__(
        self,
        horizon: int | None,
        n_bins: int,
        *,
        rho: float | None = None,
        epsilon: float | None = None,
        delta: float | None = None,
        mechanism: str = "auto",
        neighboring: Neighboring = Neighboring.ZERO_OUT,
        noise: NoiseSource | None = None,
    ) -> None:
        counter = ContinualCounter(
            horizon,
            rho=rho,
            epsilon=epsilon,
            delta=delta,
            mechanism=mechanism,
            neighboring=neighboring,
            dim=whole_number(1, n_bins=n_bins),
            noise=noise,
            one_hot=True,
            signed=False,
        )
        super().__init__(counter)
        self.n_bins = self.counter.design_.domain.dim
        self.counts_ = np.zeros(self.n_bins, dtype=np.int64)

    def update(self, bin_id: int | None) -> NDArray[np.int64]:
        """Take one step, a bin from 0 to d - 1 or None, and return the noisy counts, shape (d,); they may be negative.

        Raises
        ------
        ValueError, TypeError : no such bin; nothing has been drawn or changed.
        BudgetExhaustedError : all T steps have been released.
        """
        return self.shown(self.advance(self.checked(bin_id)[None])[0])

    def update_many(self, bin_ids: ArrayLike) -> NDArray[np.int64]:
        """Take many steps at once, -1 for none, and return the noisy counts after each, shape (n, d)."""
        bins = np.asarray(bin_ids)
        if bins.ndim != 1 or bins.dtype.kind not in "iu":
            raise TypeError(f"bin_ids must be whole numbers with one axis, got {bins.dtype} of shape {bins.shape}")
        return self.advance(self._in_range(bins)[:, None])

    def checked(self, bin_id: int | None) -> NDArray[np.int64]:
        """Check one bin and return its number, -1 for none, shape (1,); nothing is drawn or changed."""
        return self._in_range(np.array([-1 if bin_id is None else _bin(bin_id)]))

    def advance(self, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Take numbers of bins, shape (n, 1), and return the noisy counts after each, shape (n, d)."""
        bins = steps[:, 0]
        one_hot = np.zeros((len(bins), self.n_bins), dtype=np.int64)
        one_hot[np.flatnonzero(bins >= 0), bins[bins >= 0]] = 1
        with self._lock:
            releases = self.counter.advance(one_hot)
            if len(releases):
                self.counts_ = releases[-1].copy()
            return releases

    def shown(self, counts: Releases) -> NDArray[np.int64]:
        """Return the noisy counts of one step, shape (d,)."""
        return counts.astype(np.int64)

    def top_k(self, k: int) -> NDArray[np.int64]:
        """Return the k bins with the largest noisy counts, the largest first."""
        n = whole_number(1, k=k)
        if n > self.n_bins:
            raise ValueError(f"k must be at most the number of bins, {self.n_bins}, got {k}")
        return np.asarray(np.argsort(-self.counts_, kind="stable")[:n], dtype=np.int64)

    def quantile(self, q: float) -> int:
        """Return the bin that holds the quantile q in (0, 1) of the noisy counts; negative counts are taken as 0."""
        running = np.cumsum(np.maximum(self.counts_, 0))
        return min(int(np.searchsorted(running, in_range(0, 1, q=q) * running[-1])), self.n_bins - 1)

    def error_bound(self, beta: float, simultaneous: bool = True) -> float:
        """Return what errors of counts stay below, see `ContinualCounter.error_bound`."""
        return self.counter.error_bound(beta, simultaneous)

    def _in_range(self, bins: NDArray[np.integer]) -> NDArray[np.int64]:
        if n_bad := int(((bins < -1) | (bins >= self.n_bins)).sum()):
            raise ValueError(f"bins must be from 0 to {self.n_bins - 1}, or -1 for none, got {n_bad} of {bins.size} outside")
        return bins.astype(np.int64)

    def _own_state(self) -> dict[str, JsonValue]:
        return {"counts": pack_array(self.counts_)}

    def _read_own(self, state: Mapping[str, object]) -> dict[str, object]:
        return {"counts_": whole_array(state["counts"], self.counts_.shape)}


def _bin(bin_id: object) -> int:
    if isinstance(bin_id, bool) or not isinstance(bin_id, int | np.integer) or bin_id < 0:
        raise ValueError("bin_id must be a whole number from 0, or None for no bin")
    return int(bin_id)
