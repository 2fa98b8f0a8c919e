"""All privacy curves of DP-SGD with one sampling rate and one number of steps: the noise multiplier runs through the family.

A hypothesis "this run is as private as `loss_curve(q, sigma', T)`" is tested for sigma' from the private end downward; the first curve that
is not rejected gives the bound. What the tests need of a curve (areas, variances, moments) is smooth in log sigma', so it is computed at
geometric rungs once and interpolated between them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate

from mechanisms.accounting.loss_curve import LossCurve, loss_curve
from mechanisms.validation import valid_sample_rate, whole_number

Floats = NDArray[np.float64]

_PRIVATE_SIGNAL = 0.02  # q sqrt(T (e^(1 / sigma^2) - 1)) at the private end: an area of 0.506
_RATIO = 1.12  # of neighboring rungs
_LARGEST_AUC = 1 - 1e-6  # at the other end
_LEAST_RUNGS = 8
_SATURATED = 1e-7  # a step that adds less to the area is the last: records that are never sampled stay hidden
_COARSE = 0.1


@dataclass(frozen=True, slots=True)
class CurveFamily:
    """The curves of one sampling rate and one number of steps.

    Parameters
    ----------
    sample_rate : Poisson inclusion probability, in (0, 1].
    steps : number of steps, >= 1.

    Raises
    ------
    ValueError : a parameter out of range.
    """

    sample_rate: float
    steps: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "sample_rate", valid_sample_rate(self.sample_rate))
        object.__setattr__(self, "steps", whole_number(1, steps=self.steps))

    def curve(self, noise_multiplier: float) -> LossCurve:
        """Return one curve of the family."""
        return loss_curve(sample_rate=self.sample_rate, noise_multiplier=noise_multiplier, steps=self.steps)

    @property
    def private_end(self) -> float:
        """Noise multiplier at which next to nothing leaks."""
        return 1 / math.sqrt(math.log1p((_PRIVATE_SIGNAL / self.sample_rate) ** 2 / self.steps))

    def rungs(self) -> tuple[LossCurve, ...]:
        """Return curves from the private end down to an area of nearly 1; made once for each family, about a second."""
        return _rungs(self)

    def interpolated(self, of: Callable[[LossCurve], tuple[float, ...]]) -> tuple[interpolate.CubicSpline, float, float]:
        """Return a spline of `of(curve)` over x = -log(noise multiplier), and the first and last x of the rungs."""
        curves = self.rungs()
        x = np.array([-math.log(curve.noise_multiplier) for curve in curves])
        return interpolate.CubicSpline(x, np.array([of(curve) for curve in curves])), float(x[0]), float(x[-1])


@lru_cache(maxsize=2)
def _rungs(family: CurveFamily) -> tuple[LossCurve, ...]:
    curves: list[LossCurve] = []
    sigma = family.private_end
    while len(curves) < _LEAST_RUNGS or (curves[-2].auc + _SATURATED < curves[-1].auc < _LARGEST_AUC):
        curves.append(loss_curve(sample_rate=family.sample_rate, noise_multiplier=sigma, steps=family.steps, resolution=_COARSE))
        sigma /= _RATIO
    return tuple(curves)
