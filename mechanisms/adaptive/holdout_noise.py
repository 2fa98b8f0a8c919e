"""The two laws of noise of a reusable holdout: one whose guarantee is proved, and the one of the published experiment.

Laplace. Values in [0, 1] are rounded to multiples of 2^-20, sums are whole numbers, a holdout record moves its sum by 2^20 units at most.
Both means are brought to the holdout's units, 1 / (2^20 n), and all noise is whole and exact (`exact_discrete_laplace`):

    gamma ~ Lap(2 sigma), once a run;  eta ~ Lap(4 sigma), every query;  fires if |train - holdout| > threshold + gamma + eta
    answer of a firing: holdout + Lap(sigma)

Gaussian. The published experiment: a fixed threshold, eta and the noise of an answer N(0, sigma^2), floats, values of any range. Nothing is
proved for it: values such as x_i y have no finite sensitivity, and floats leak.

Symbols: n holdout records. Cost: 0.1 ms a draw.

References
----------
Dwork, Feldman, Hardt, Pitassi, Reingold, Roth, The Reusable Holdout: Preserving Validity in Adaptive Data Analysis, Science 2015, and its
code in the supplement.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from mechanisms.adaptive.whole_sums import UNITS, in_units
from mechanisms.continual.recompute import laplace_tail
from mechanisms.noise.discrete_laplace import exact_discrete_laplace
from mechanisms.noise.source import NoiseSource

Law: TypeAlias = Literal["laplace", "gaussian"]
Values: TypeAlias = NDArray[np.float64]


class HoldoutNoise(Protocol):
    """A law. Means are whole numbers of 64 bits here, whatever they stand for, so that files can hold and compare them."""

    @property
    def proved(self) -> bool:
        """Whether there is a guarantee."""
        ...

    def means(self, train: Values, holdout: Values) -> tuple[int, int]:
        """Return both means."""
        ...

    def begin_run(self) -> None:
        """Draw the threshold of the next run."""
        ...

    def fires(self, train: int, holdout: int) -> bool:
        """Whether the means are apart, up to noise."""
        ...

    def value(self, mean: int) -> float:
        """Return a mean as a number."""
        ...

    def noisy(self, holdout: int) -> float:
        """Return the holdout's mean plus noise."""
        ...

    def tails(self, n_queries: int, n_runs: int, beta: float) -> tuple[float, float]:
        """Return what the noise of all tests, and of all answers, stays below, together with probability 1 - beta."""
        ...

    def state(self) -> str:
        """Return the noise that is in use: secret."""
        ...

    def restore(self, state: str) -> None:
        """Go on with the noise of a state."""
        ...


class LaplaceHoldoutNoise:
    """Exact discrete Laplace noise on whole numbers; `threshold` and `sigma` as they are written in decimals."""

    proved = True

    def __init__(self, n: int, threshold: float, sigma: float, noise: NoiseSource) -> None:
        self._units = UNITS * n
        self._threshold = math.floor(decimal(threshold) * self._units)
        self._scale = decimal(sigma) * self._units
        self._n, self._noise, self._gamma = n, noise, 0

    def means(self, train: Values, holdout: Values) -> tuple[int, int]:
        """Both in units of 1 / (2^20 n); the train mean is rounded to them."""
        total = Fraction(int(in_units(train).sum()) * self._n, len(train))
        return math.floor(total + Fraction(1, 2)), int(in_units(holdout).sum())

    def begin_run(self) -> None:
        """Draw gamma."""
        self._gamma = self._draw(2)

    def fires(self, train: int, holdout: int) -> bool:
        """Draw eta and compare whole numbers."""
        return abs(train - holdout) > self._threshold + self._gamma + self._draw(4)

    def value(self, mean: int) -> float:
        """Return a mean in [0, 1]."""
        return mean / self._units

    def noisy(self, holdout: int) -> float:
        """Add Lap(sigma), cut to [0, 1]."""
        return min(max(holdout + self._draw(1), 0), self._units) / self._units

    def tails(self, n_queries: int, n_runs: int, beta: float) -> tuple[float, float]:
        """A quarter of beta for all gamma, half for all eta, a quarter for all answers; rounding included."""
        gamma = laplace_tail(float(2 * self._scale), beta / 4 / n_runs)
        eta = laplace_tail(float(4 * self._scale), beta / 2 / n_queries)
        answers = laplace_tail(float(self._scale), beta / 4 / n_runs)
        rounding = 2.0 / UNITS
        return (gamma + eta) / self._units + rounding, answers / self._units + rounding

    def state(self) -> str:
        """Gamma."""
        return str(self._gamma)

    def restore(self, state: str) -> None:
        """Set gamma."""
        self._gamma = int(state)

    def _draw(self, factor: int) -> int:
        return exact_discrete_laplace(factor * self._scale, self._noise.words)


class GaussianHoldoutNoise:
    """The published variant: floats, fixed threshold, N(0, sigma^2) for tests and answers. Proves nothing."""

    proved = False

    def __init__(self, threshold: float, sigma: float, noise: NoiseSource) -> None:
        self._threshold, self._sigma, self._noise = threshold, sigma, noise

    def means(self, train: Values, holdout: Values) -> tuple[int, int]:
        """Both as the bits of floats."""
        return _bits(float(train.mean())), _bits(float(holdout.mean()))

    def begin_run(self) -> None:
        """Do nothing: the threshold is fixed."""

    def fires(self, train: int, holdout: int) -> bool:
        """Draw eta and compare floats."""
        return abs(_number(train) - _number(holdout)) > self._threshold + self._draw()

    def value(self, mean: int) -> float:
        """Return the mean."""
        return _number(mean)

    def noisy(self, holdout: int) -> float:
        """Add N(0, sigma^2)."""
        return _number(holdout) + self._draw()

    def tails(self, n_queries: int, n_runs: int, beta: float) -> tuple[float, float]:
        """Half of beta for all eta, half for all answers."""
        return self._sigma * -float(ndtri(beta / 4 / n_queries)), self._sigma * -float(ndtri(beta / 4 / n_runs))

    def state(self) -> str:
        """Nothing is kept."""
        return ""

    def restore(self, state: str) -> None:
        """Accept what `state` returned.

        Raises
        ------
        ValueError : anything else.
        """
        if state:
            raise ValueError("state is damaged: this law keeps no noise")

    def _draw(self) -> float:
        return float(self._noise.normal(self._sigma))


def holdout_noise(law: Law, n: int, threshold: float, sigma: float, noise: NoiseSource) -> HoldoutNoise:
    """Return the law's noise for n holdout records."""
    if law == "laplace":
        return LaplaceHoldoutNoise(n, threshold, sigma, noise)
    return GaussianHoldoutNoise(threshold, sigma, noise)


def decimal(number: float) -> Fraction:
    """Return the number that a float prints as, exactly: 0.01 is one hundredth.

    Examples
    --------
    >>> decimal(0.01)
    Fraction(1, 100)
    """
    return Fraction(repr(float(number)))


def _bits(number: float) -> int:
    return int(np.float64(number).view(np.int64))


def _number(bits: int) -> float:
    return float(np.int64(bits).view(np.float64))
