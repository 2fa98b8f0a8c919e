"""What a step may hold, and its value in whole multiples of a unit: sums of inputs are exact, whatever the horizon.

Whole inputs have the unit 1. Real inputs are rounded to a unit far below the noise, which moves no input beyond the bound, since the bound
is a multiple of the unit; so the rounding costs no privacy, and the running sum is a whole number without any error of arithmetic.

Inputs are checked here before anything is drawn or changed. Values never reach a message. That a call raises depends on the data: where
that matters take `clip=True`, which moves values into the domain and raises for NaN only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Units = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class StepDomain:
    """The inputs that a counter takes.

    Parameters
    ----------
    dim : coordinates of a step.
    unit : > 0; inputs become multiples of it.
    n_units : the bound in units.
    whole : inputs must be whole numbers, and the unit is 1.
    signed : inputs may be negative.
    one_hot : at most one coordinate is 1, the others are 0.
    clip : values outside are moved inside; a vector that is not one-hot becomes zero. Otherwise they raise.
    """

    dim: int
    unit: float
    n_units: int
    whole: bool
    signed: bool
    one_hot: bool
    clip: bool

    def scalar(self, x: object) -> int | None:
        """Return the units of a plain number inside the domain of one coordinate; None: ask `steps`."""
        if (type(x) is not int and type(x) is not float) or self.one_hot:
            return None
        inside = (-self.n_units if self.signed else 0) <= x / self.unit <= self.n_units
        return (int(x) if x == int(x) else None) if inside and self.whole else round(x / self.unit) if inside else None

    def step(self, x: ArrayLike) -> Units:
        """Return one step in units, shape (1, dim).

        Raises
        ------
        ValueError, TypeError : wrong shape or type, NaN, a value outside the domain.
        """
        values = _numbers(x)
        if values.shape not in ({(), (1,)} if self.dim == 1 else {(self.dim,)}):
            raise ValueError(f"x must be one step of dim {self.dim}, got shape {values.shape}")
        return self._in_units(values.reshape(1, self.dim))

    def steps(self, X: ArrayLike) -> Units:
        """Return many steps in units, shape (n, dim); errors as `step`."""
        values = _numbers(X)
        if values.ndim == 1 and self.dim == 1:
            values = values[:, None]
        if values.ndim != 2 or values.shape[1] != self.dim:
            raise ValueError(f"X must have shape (n_steps, {self.dim}), got {values.shape}")
        return self._in_units(values)

    def _in_units(self, values: NDArray[np.generic]) -> Units:
        low, high = (-self.n_units if self.signed else 0), self.n_units
        if values.dtype == np.int64 and self.unit == 1 and values.size and low <= values.min() and values.max() <= high:
            return self._one_hot(values.astype(np.int64)) if self.one_hot else values.astype(np.int64)
        multiples = values.astype(np.float64)
        if self.unit != 1:
            multiples /= self.unit
        if multiples.size and not (multiples.min() >= low and multiples.max() <= high):  # NaN comes here, too
            multiples = self._moved_inside(multiples, low, high)
        rounded = np.rint(multiples)
        if self.whole and (broken := np.count_nonzero(rounded != multiples)):
            raise ValueError(f"inputs must be whole numbers, got {broken} of {values.size} that aren't; pass whole=False for real values")
        return self._one_hot(rounded.astype(np.int64)) if self.one_hot else rounded.astype(np.int64)

    def _moved_inside(self, multiples: NDArray[np.float64], low: int, high: int) -> NDArray[np.float64]:
        n_nan, n = int(np.isnan(multiples).sum()), multiples.size
        if n_nan:
            raise ValueError(f"inputs must be numbers, got {n_nan} NaN in {n}")
        if not self.clip:
            outside = int(((multiples < low) | (multiples > high)).sum())
            raise ValueError(
                f"inputs must be in [{low * self.unit:g}, {high * self.unit:g}], got {outside} of {n} outside; "
                'widen the bound or clip with on_violation="clip"'
            )
        return np.clip(multiples, low, high)

    def _one_hot(self, units: Units) -> Units:
        bad = np.count_nonzero(units, axis=1) > 1
        if bad.any() and not self.clip:
            raise ValueError(f"steps must be one-hot or zero, got {int(bad.sum())} of {len(units)} that aren't")
        units[bad] = 0
        return units


def _numbers(x: ArrayLike) -> NDArray[np.generic]:
    values = np.asarray(x)
    if values.dtype.kind not in "iufb":
        raise TypeError(f"inputs must be real numbers, got an array of {values.dtype}")
    return values
