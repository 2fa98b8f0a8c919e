"""What the move engines share: a checked task, its noise, and the loop of sweeps.

An engine holds a table Z and changes one value of one row at a time. A sweep visits every row once, in random order; each row makes its
best move if it is worth it. Symbols: n' rows of Z, n rows of the real table, lambda = `min_gain`, groups g with weight w and noise sigma.

    F(Z) = sum_g w_g sum_c (count_gc - (n'/n) y_gc)^2           change of a move of column i from a to b = 2 (half change)
    a move is made if   half change < -h_i,      h_i = lambda (n'/n) sqrt(2 sum over g with column i of w_g^2 sigma_g^2)

h_i is the standard deviation which the noise gives half the change, so this is soft thresholding of moves: what noise alone could
suggest is left undone. lambda = 0 makes every improving move; then the fit ends in a local minimum that follows the noise.

Only noisy answers are used: a fit is post-processing and costs no privacy.

References
----------
Liu, Tang, Vietri, Wu, Generating Private Synthetic Data with Genetic Algorithms, ICML 2023.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import non_negative, positive, whole_number
from synth.encoded import Codes
from synth.forbidden import ForbiddenCells, Rule
from synth.targets import Fit, MarginalTarget

Progress = Callable[[int, int, str], None]
Floats = NDArray[np.float64]

FEW_MOVES = 0.002  # of the rows: a sweep with fewer moves is the last
REFRESH = 20  # sweeps between recounts, against drift of running sums


class Task:
    """A checked task: what to fit, and where to start.

    Parameters
    ----------
    targets : noisy marginals.
    sizes : number of codes of every column, (d,).
    start : codes, (n', d).
    total : n, or its noisy estimate, > 0.
    forbidden : (columns, mask) pairs, see `synth.forbidden`.

    Raises
    ------
    ValueError : anything above that doesn't fit together; a target without columns or with weight <= 0; a start in forbidden cells.
    """

    def __init__(
        self, targets: Sequence[MarginalTarget], sizes: Sequence[int], start: Codes, total: float, forbidden: Sequence[Rule]
    ) -> None:
        self.sizes = tuple(whole_number(1, size=size) for size in sizes)
        self.targets = tuple(targets)
        self.codes = _checked_start(start, self.sizes)
        self.total = positive(total=total)
        self.rules = ForbiddenCells(forbidden, self.sizes)
        if self.rules.violations(self.codes).any():
            raise ValueError("start must have no row in a forbidden cell; repair it with repair_rows")
        for target in self.targets:
            self._check(target)

    def _check(self, target: MarginalTarget) -> None:
        columns, last = target.columns, len(self.sizes) - 1
        if not columns or not 0 <= columns[0] <= columns[-1] <= last:
            raise ValueError(f"a target must name columns between 0 and {last}, got {columns}")
        shape = tuple(self.sizes[column] for column in columns)
        if target.answer.shape != shape:
            raise ValueError(f"the answer of columns {columns} must have shape {shape}, got {target.answer.shape}")
        if not np.isfinite(target.answer).all():
            raise ValueError(f"the answer of columns {columns} must be finite")
        positive(weight=target.weight)
        non_negative(sigma=target.sigma)

    @property
    def n_rows(self) -> int:
        """Return n'."""
        return len(self.codes)

    @property
    def scale(self) -> float:
        """Return n' / n."""
        return self.n_rows / self.total

    @property
    def noise_energy(self) -> float:
        """Return what F is expected to be for the true table, at n' rows."""
        return self.scale**2 * sum(target.weight * target.sigma**2 * target.answer.size for target in self.targets)

    def least_gains(self, min_gain: float) -> Floats:
        """Return h_i, (d,)."""
        squares = np.zeros(len(self.sizes))
        for target in self.targets:
            squares[list(target.columns)] += (target.weight * target.sigma) ** 2
        return min_gain * self.scale * np.sqrt(2 * squares)


class Engine(Protocol):
    """A table that moves."""

    @property
    def codes(self) -> Codes:
        """Return the present table, (n', d)."""
        ...

    def recount(self) -> float:
        """Count the table from scratch, replace all running sums, and return F exactly."""
        ...

    def fitness(self) -> float:
        """Return F from the running sums."""
        ...

    def sweep(self, order: NDArray[np.int64], room: float) -> tuple[int, float]:
        """Visit the rows in this order until F has fallen by `room`; return how many moves were made and how far it fell."""
        ...


def descend(engine: Engine, task: Task, *, noise_floor: float | None, max_sweeps: int, rng: RngLike, progress: Progress | None) -> Fit:
    """Sweep until few rows move, F is at the noise floor, or `max_sweeps`."""
    rng, max_sweeps = as_generator(rng), whole_number(0, max_sweeps=max_sweeps)
    floor = -math.inf if noise_floor is None else non_negative(noise_floor=noise_floor) * task.noise_energy
    n = task.n_rows
    history = [engine.recount()]
    stopped = "max_sweeps" if history[0] > floor else "noise_floor"
    while stopped == "max_sweeps" and len(history) <= max_sweeps:
        if len(history) % REFRESH == 0:
            engine.recount()
        room = history[-1] - floor
        moves, fallen = engine.sweep(rng.permutation(n), room)
        history.append(engine.fitness())
        if progress is not None:
            progress(len(history) - 1, max_sweeps, "sweeps")
        if fallen >= room:
            stopped = "noise_floor"
        elif moves < max(FEW_MOVES * n, 1):
            stopped = "converged"
    history[-1] = engine.recount()
    codes = engine.codes
    codes.flags.writeable = False
    return Fit(codes, history[-1] / n**2, task.noise_energy / n**2, tuple(fitness / n**2 for fitness in history), stopped)


def _checked_start(start: Codes, sizes: tuple[int, ...]) -> Codes:
    given = np.asarray(start)
    if given.ndim != 2 or given.shape[1] != len(sizes) or not len(given):
        raise ValueError(f"start must have shape (at least 1, {len(sizes)}), got {given.shape}")
    if not np.issubdtype(given.dtype, np.integer):
        raise TypeError(f"start must hold whole numbers, got {given.dtype}")
    if (given < 0).any() or (given >= np.array(sizes)).any():
        raise ValueError("start must hold codes between 0 and size - 1 of each column")
    return np.array(given, dtype=np.int32, order="C")
