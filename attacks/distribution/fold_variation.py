"""Total variation of n draws from any two discrete laws, between two proved ends: a privacy loss distribution composed n times.

TV of the n-fold products is the hockey-stick divergence at epsilon = 0 of the n-fold composition. With L = ln(P/Q) and S = L_1 + ... + L_n,

    TV_n = 1 - P(no Q = 0 in n draws) + E_P[max(0, 1 - e^-S); all L_i finite]

Upper end: an outcome with L between two grid points is split into two outcomes that lie on them, with P / Q kept on the average. The split
pair is the finer experiment, so its TV is at least TV_n. Lower end: given S, the split multiplies e^S by a factor of mean 1 and variance
(1 + v)^n - 1 (v = mean variance of one split factor, at most sinh^2(h / 2)), and E max(0, x + Z) - max(0, x) <= E|Z| / 2 for E Z = 0, so

    TV(split) - P(finite) sqrt((1 + v)^n - 1) / 2  <=  TV_n  <=  TV(split)

symbols: P, Q = the two laws; h = width of the grid. The ends are about h sqrt(n) / 4 apart (rounding all losses down or up leaves n h).
Where 1 - B^n or sqrt(1 - B^2n), B = sum sqrt(P Q), says more, it is taken: near TV = 1 it does.
Both ends are widened by the mass that Chernoff's bound leaves outside the grid and by an allowance for rounding of the transform.
Cost: one transform of at most 2^22 points, about 0.3 s; most laws and n need 2^14 points and a millisecond.

`mechanisms.accounting.loss_curve` composes subsampled Gaussians the same way, but its grid belongs to that mechanism and its result is
right on average, not a bound on either side; a bracket needs directed rounding, so it is not used here.

References
----------
Koskela, Jaelkoe, Honkela, AISTATS 2020 (transform). Doroshenko, Ghazi, Kamath, Kumar, Manurangsi, Connect the Dots, PETS 2022 (split).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, special

from mechanisms.json_ready import JsonValue
from mechanisms.validation import one_dimensional, positive, same_length, whole_number

Floats = NDArray[np.float64]

SCHEMA_VERSION = 1
WANTED_WIDTH = 1e-3
_SIZES = (2**14, 2**18, 2**22)
_SUM_TOLERANCE = 1e-9
_OUTSIDE = 1e-13  # mass left outside the grid, on each side
_ROUNDING = 64.0  # units of machine precision in one transform
_CLOSED_FORM = 1e-12  # relative rounding of the two closed forms
_LEAST_WIDTH, _MOST_INDEX = 1e-12, 2.0**50


@dataclass(frozen=True, slots=True)
class VariationBracket:
    """Two proved ends of a total variation.

    Parameters
    ----------
    n : number of draws.
    lower, upper : the total variation lies between them, up to rounding of the last digits; both in [0, 1].
    grid : width of the grid of losses in nats, 0 where no grid was needed.
    """

    n: int
    lower: float
    upper: float
    grid: float

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {"schema_version": SCHEMA_VERSION, "n": self.n, "lower": self.lower, "upper": self.upper, "grid": self.grid}


def tv_pmf(n: int, P: ArrayLike, Q: ArrayLike, *, grid: float | None = None) -> VariationBracket:
    """Return a bracket of the total variation between n draws from P and n draws from Q.

    Parameters
    ----------
    n : number of draws, >= 0.
    P, Q : (k,) probabilities of the same k outcomes; zeros are allowed, and each sums to 1 within 1e-9.
    grid : width of the grid in nats; None refines until the ends are less than 1e-3 apart or 2^22 points are used up.

    Returns
    -------
    The bracket; wider than 1e-3 where it could not be refined.

    Raises
    ------
    ValueError, TypeError : P or Q is no law on the same outcomes, n is negative, or the grid needs more than 2^22 points.

    Examples
    --------
    >>> found = tv_pmf(11, [0.5, 0.5], [0.2, 0.8])
    >>> found.lower <= 0.72557955 <= found.upper, found.upper - found.lower < 1e-3
    (True, True)
    """
    n, (p, q) = whole_number(n=n), laws(P, Q)
    if grid is not None:
        return _at_width(n, p, q, positive(grid=grid))
    return refined(n, p, q)


def refined(n: int, p: Floats, q: Floats, *, advantage: float | None = None) -> VariationBracket:
    """Return the bracket on the coarsest grid that is fine enough: narrower than 1e-3, or clear of `advantage` if one is given."""
    for size in _SIZES:
        found = _with_size(n, p, q, size)
        if advantage is not None and not found.lower < advantage <= found.upper:
            break
        if advantage is None and found.upper - found.lower < WANTED_WIDTH:
            break
    return found


def laws(P: ArrayLike, Q: ArrayLike) -> tuple[Floats, Floats]:
    """Return both laws as float arrays that sum to 1 exactly as computed, without outcomes that neither has."""
    p, q = _law("P", P), _law("Q", Q)
    same_length(P=p, Q=q)
    some = (p > 0) | (q > 0)
    return p[some], q[some]


def one_draw(p: Floats, q: Floats) -> float:
    """Return the total variation of one draw."""
    return float(np.abs(p - q).sum() / 2)


def overlap_decay(p: Floats, q: Floats) -> float:
    """Return -ln B, B = sum sqrt(P Q) > 0; for laws that are close, from 1 - B = sum (sqrt P - sqrt Q)^2 / 2 without its cancellation."""
    apart = float((((p - q) / (np.sqrt(p) + np.sqrt(q))) ** 2).sum()) / 2
    return -math.log1p(-apart) if apart < 0.5 else -math.log(float((np.sqrt(p) * np.sqrt(q)).sum()))


def _law(name: str, value: ArrayLike) -> Floats:
    array = one_dimensional(**{name: value})
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold probabilities, got dtype {array.dtype}")
    law = np.array(array, dtype=np.float64)
    if not ((law >= 0) & (law <= 1)).all():
        raise ValueError(f"{name} must hold probabilities in [0, 1], got {int(np.sum(~((law >= 0) & (law <= 1))))} of {len(law)} outside")
    if not abs(total := float(law.sum()) - 1) <= _SUM_TOLERANCE:
        raise ValueError(f"{name} must sum to 1, got a sum that is off by {total:.3g}; divide it by its sum")
    return np.asarray(law / law.sum(), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Losses:
    """Finite losses with their probabilities under P, the probability that a draw from P has one, and -ln B."""

    loss: Floats
    mass: Floats
    finite: float
    decay: float


def _losses(p: Floats, q: Floats) -> _Losses:
    both = (p > 0) & (q > 0)
    mass = p[both]
    return _Losses(np.log(mass) - np.log(q[both]), mass, min(1.0, float(mass.sum())), overlap_decay(p, q))


def _trivial(n: int, p: Floats, q: Floats) -> VariationBracket | None:
    """Return the bracket where no grid is needed: no draw, one draw, equal laws, laws without a common outcome."""
    one = one_draw(p, q)
    if n > 1 and one > 0 and bool(((p > 0) & (q > 0)).any()):
        return None
    value = 0.0 if n == 0 else min(one, 1.0)
    return VariationBracket(n, value, value, 0.0)


def _with_size(n: int, p: Floats, q: Floats, size: int) -> VariationBracket:
    if (trivial := _trivial(n, p, q)) is not None:
        return trivial
    losses = _losses(p, q)
    low, high = _reach(n, losses.loss, losses.mass)
    width = max(1.05 * (high - low) / size, n * float(np.abs(losses.loss).max()) / _MOST_INDEX, _LEAST_WIDTH)
    while (found := _composed(n, losses, width, size)) is None:
        width *= 1.1
    return found


def _at_width(n: int, p: Floats, q: Floats, width: float) -> VariationBracket:
    if (trivial := _trivial(n, p, q)) is not None:
        return trivial
    losses = _losses(p, q)
    for size in _SIZES:
        if (found := _composed(n, losses, width, size)) is not None:
            return found
    raise ValueError(f"grid {width:g} needs more than {_SIZES[-1]} points for {n} draws; widen it or leave it out")


def _composed(n: int, losses: _Losses, width: float, size: int) -> VariationBracket | None:
    """Return the bracket on a grid of this width, or None where its points don't hold the n-fold law."""
    index, mass, variance = _split(losses, width)
    low, high = _reach(n, np.asarray(index * width, dtype=np.float64), mass)
    start = math.floor(low / width)
    if math.ceil(high / width) - start >= size:
        return None
    law = np.bincount(index % size, weights=mass, minlength=size)
    total = np.maximum(np.roll(fft.irfft(fft.rfft(law) ** n, n=size), -(start % size)), 0.0)
    at = (start + np.arange(size)) * width
    finite = losses.finite**n
    middle = -math.expm1(n * math.log(losses.finite)) + float(total[at > 0] @ -np.expm1(-at[at > 0]))
    slack = 2 * _OUTSIDE + float(np.finfo(np.float64).eps) * (_ROUNDING + 4 * n) * math.sqrt(size * float(total @ total))
    spread = finite * math.sqrt(math.expm1(n * math.log1p(variance))) / 2 if n * variance < 1 else 1.0
    least, most = -math.expm1(-n * losses.decay), math.sqrt(-math.expm1(-2 * n * losses.decay))
    upper = min(1.0, most * (1 + _CLOSED_FORM), middle + slack)
    least *= 1 - _CLOSED_FORM
    return VariationBracket(n, min(upper, max(least, middle - spread - slack)), upper, width)


def _split(losses: _Losses, width: float) -> tuple[NDArray[np.int64], Floats, float]:
    """Return grid indices with masses under P after the split, and the mean over P of the variance of a factor e^(L' - L) under Q."""
    below = np.floor(losses.loss / width)
    part = np.clip(losses.loss - below * width, 0.0, width)
    up = np.expm1(-part) / math.expm1(-width)
    variance = np.expm1(width - part) * -np.expm1(-part)
    index = np.concatenate([below, below + 1]).astype(np.int64)
    mass = np.concatenate([losses.mass * (1 - up), losses.mass * up])
    return index, mass, float(losses.mass @ variance) / losses.finite


def _reach(n: int, loss: Floats, mass: Floats) -> tuple[float, float]:
    """Return ends that the sum of n finite losses leaves with probability at most 1e-13 each, by Chernoff's bound."""
    some = mass > 0
    loss, log_mass = loss[some], np.log(mass[some])
    spread = math.sqrt(n) * max(float(loss.std()), _LEAST_WIDTH)
    tilts = math.sqrt(-2 * math.log(_OUTSIDE)) / spread * 2.0 ** np.arange(-8, 13)
    ends = []
    for values in (-loss, loss):
        growth = n * special.logsumexp(log_mass + tilts[:, None] * values, axis=1)
        ends.append(min(float(((growth - math.log(_OUTSIDE)) / tilts).min()), n * float(values.max())))
    return -ends[0], max(ends[1], -ends[0])
