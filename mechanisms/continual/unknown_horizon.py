"""A counter without a horizon: segments of 1, 2, 4, ... steps, each with a prefix counter of its own and one noisy total.

An event lies in exactly one segment, so the budget of every segment is the whole budget. Segment i spends a share phi_i of rho on the
prefix counter of its 2^i steps and the rest on its total; a release in segment i is the sum of i totals and one prefix:

    ||L_t||^2 = sum_{j<i} 1/(1 - phi_j) + ||L^(i)_tau||^2 / phi_i,        phi_i = sqrt(b_i) / (sqrt(i + 1) + sqrt(b_i))

symbols: b_i largest error of segment i's prefix counter (unit 1/(2 rho)), tau = t - 2^i + 1     Delta_2 = 1
Adding last prefixes of former segments instead of totals of their own would grow with ln^3 t. Cost: as `scaled_square_root`.

References
----------
Chan, Shi, Song, TISSEC 2011, section 4.3 (hybrid mechanism). Jacobsen, Fawaz, Differential Privacy on Unbounded Streams, 2025.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mechanisms.continual.factorization import Draw, Factorization, Floats, Noise, NoiseStream
from mechanisms.continual.scaled_square_root import ScaledSquareRoot


class UnknownHorizon(Factorization):
    """Doubling segments; `horizon` only says how many steps are described, a stream goes on for ever."""

    name = "unknown_horizon"

    @property
    def n_segments(self) -> int:
        """Segments that the first T steps touch."""
        return self.horizon.bit_length()

    @property
    def l2_sensitivity(self) -> float:
        """1: phi + (1 - phi) in every segment."""
        return 1.0

    @property
    def l1_sensitivity(self) -> float:
        """Largest over segments of sqrt(phi) Delta_1 + sqrt(1 - phi)."""
        shares = [prefix_share(i) for i in range(self.n_segments)]
        return max(float(s**0.5 * segment(i).l1_sensitivity + (1 - s) ** 0.5) for i, s in enumerate(shares))

    def squared_row_norms(self) -> Floats:
        """Variances of the totals before and of the prefix in the step's segment."""
        rows, totals = [], 0.0
        for i in range(self.n_segments):
            rows.append(totals + segment(i).squared_row_norms() / prefix_share(i))
            totals += 1 / (1 - prefix_share(i))
        return np.concatenate(rows)[: self.horizon]

    @property
    def n_state(self) -> int:
        """The prefix counter's state and the sum of totals."""
        return segment(self.n_segments - 1).n_state + 1

    def stream(self, dim: int) -> NoiseStream:
        """Return a fresh stream."""
        return _SegmentStream(dim)

    def right_matrix(self) -> Floats:
        """For each segment the rows of its prefix counter, then the row of its total."""
        self._require_small()
        blocks, first = [], 0
        for i in range(self.n_segments):
            length, share = 2**i, prefix_share(i)
            block = np.zeros((length + 1, 2**self.n_segments - 1))
            block[:length, first : first + length] = share**0.5 * segment(i).right_matrix()
            block[length, first : first + length] = (1 - share) ** 0.5
            blocks.append(block)
            first += length
        rows = np.concatenate(blocks)[:, : self.horizon]
        return rows if self.horizon == first else rows[: self.horizon + self.n_segments - 1]


@lru_cache(maxsize=24)
def segment(i: int) -> ScaledSquareRoot:
    """Return the prefix counter of segment i; public tables, no noise."""
    return ScaledSquareRoot(2**i, objective="max")


@lru_cache(maxsize=64)
def prefix_share(i: int) -> float:
    """Return phi_i."""
    error = segment(i).max_error() ** 0.5
    return float(error / ((i + 1) ** 0.5 + error))


class _SegmentStream(NoiseStream):
    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._totals = np.zeros(dim)
        self._prefix = segment(0).stream(dim)

    def step(self, draw: Draw) -> Noise:
        i = (self.n_seen + 1).bit_length() - 1
        noise = self._totals + self._prefix.step(draw) / prefix_share(i) ** 0.5
        self._go_on(1, draw)
        return np.asarray(noise)

    def run(self, draw: Draw, n_steps: int) -> Noise:
        parts, last = [], self.n_seen + n_steps
        while self.n_seen < last:
            i = (self.n_seen + 1).bit_length() - 1
            n = min(last, (2 << i) - 1) - self.n_seen
            parts.append(self._totals + self._prefix.run(draw, n) / prefix_share(i) ** 0.5)
            self._go_on(n, draw)
        return np.concatenate(parts)

    def _go_on(self, n_steps: int, draw: Draw) -> None:
        """Count steps of one segment; at its end draw the noise of its total and begin the next one."""
        i = (self.n_seen + 1).bit_length() - 1
        self.n_seen += n_steps
        if self.n_seen + 1 == 2 << i:
            self._totals = self._totals + draw(1)[0] / (1 - prefix_share(i)) ** 0.5
            self._prefix = segment(i + 1).stream(self._dim)

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {"totals": self._totals.copy(), **self._prefix.state()}

    def restore(self, state: Mapping[str, NDArray[np.generic]], n_seen: int) -> None:
        i = (n_seen + 1).bit_length() - 1
        self._totals = np.array(state["totals"], dtype=np.float64)
        self._prefix = segment(i).stream(self._dim)
        self._prefix.restore({name: value for name, value in state.items() if name != "totals"}, n_seen + 1 - 2**i)
        self.n_seen = n_seen
