"""n_leaked for any two laws: discrete ones by composed privacy losses, a shift of a normal law in closed form.

The search starts between two closed forms, with B = sum sqrt(P Q) and adv = 2 accuracy - 1,

    ln(1 - adv^2) / (2 ln B)  <=  n  <=  ln(1 - adv) / ln B            (1 - B^n <= TV_n <= sqrt(1 - B^2n))

and halves the bracket with `fold_variation`, whose every answer is a proof: enough, too few, or can't tell.
Cost: about 2 log2(n) brackets; milliseconds to n = 100, seconds to n = 10^4, half a minute beyond 10^6. The range stays open by about 10 %
for accuracies within 1e-6 of 1, and by a fraction of it from n = 10^4 on: there only the closed forms still decide.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from attacks.distribution.arguments import probabilities
from attacks.distribution.fold_variation import laws, one_draw, overlap_decay, refined, tv_pmf
from mechanisms.accounting.elementwise import as_given
from mechanisms.errors import WeakEvidenceWarning
from mechanisms.json_ready import JsonValue, json_ready
from mechanisms.validation import in_range, positive

Floats = NDArray[np.float64]
Test = Callable[[int], bool]

SCHEMA_VERSION = 1
_MOST_DRAWS = 2.0**50


@dataclass(frozen=True, slots=True)
class LeakedRange:
    """Proved ends of n_leaked.

    Parameters
    ----------
    lower, upper : the smallest sufficient number of records is at least `lower` and at most `upper`; they are equal where the grid was
        fine enough to decide, and both may be infinite.
    """

    lower: float
    upper: float

    @property
    def exact(self) -> bool:
        """Whether the number is known."""
        return self.lower == self.upper

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {"schema_version": SCHEMA_VERSION, "lower": json_ready(self.lower), "upper": json_ready(self.upper)}


def n_leaked_pmf(accuracy: float, P: ArrayLike, Q: ArrayLike, *, grid: float | None = None) -> LeakedRange:
    """Return how many draws an ideal observer needs to tell the laws P and Q apart with this accuracy.

    Parameters
    ----------
    accuracy : balanced accuracy in [0, 1]; 1/2 or less gives 0.
    P, Q : (k,) probabilities of the same k outcomes; zeros are allowed, and each sums to 1 within 1e-9.
    grid : width of the grid of privacy losses in nats; None refines as far as 2^22 points.

    Returns
    -------
    Two ends, usually equal. Infinite for an accuracy of 1 unless no outcome is common, and for equal laws.

    Raises
    ------
    ValueError, TypeError : accuracy outside [0, 1], P or Q is no law, or the grid is too fine.

    Warns
    -----
    WeakEvidenceWarning : the laws are equal and the accuracy is above 1/2.

    Examples
    --------
    >>> n_leaked_pmf(0.9, [0.5, 0.5], [0.2, 0.8])
    LeakedRange(lower=16.0, upper=16.0)
    """
    acc = in_range(0, 1, closed="both", accuracy=accuracy)
    p, q = laws(P, Q)
    if acc <= 0.5:
        return LeakedRange(0.0, 0.0)
    if one_draw(p, q) == 0:
        warnings.warn("the accuracy is above 1/2 though the two laws are equal; n_leaked is infinite", WeakEvidenceWarning, stacklevel=2)
        return LeakedRange(math.inf, math.inf)
    advantage = 2 * acc - 1
    aim = advantage - 1e-12 * (1 - advantage)  # 2 * 0.55 - 1 is above 0.1 in floating point
    if one_draw(p, q) >= aim:
        return LeakedRange(1.0, 1.0)
    if acc == 1:
        return LeakedRange(math.inf, math.inf)
    return _searched(aim, p, q, grid)


def n_leaked_normal(accuracy: ArrayLike, shift: ArrayLike) -> float | Floats:
    """Return how many draws tell N(0, 1) from N(shift, 1) with this accuracy: (2 Phi^-1(accuracy) / shift)^2, a real number.

    Parameters
    ----------
    accuracy : balanced accuracy in [0, 1]; 1/2 or less gives 0, 1 gives infinity.
    shift : difference of the means in standard deviations, of either sign; broadcasts.

    Raises
    ------
    ValueError, TypeError : accuracy outside [0, 1], or a shift that is zero, NaN, infinite or no number.

    Examples
    --------
    >>> round(float(n_leaked_normal(0.9, 0.1)), 1)
    656.9
    """
    (acc,) = probabilities(accuracy=accuracy)
    moved = np.asarray(shift, dtype=np.float64)
    if not (np.isfinite(moved) & (moved != 0)).all():
        raise ValueError("shift must hold finite numbers other than 0: without a shift nothing can be told apart")
    return as_given(np.asarray((2 * special.ndtri(np.maximum(acc, 0.5)) / moved) ** 2, dtype=np.float64))


def _searched(aim: float, p: Floats, q: Floats, grid: float | None) -> LeakedRange:
    decay = overlap_decay(p, q)
    too_few = max(1, math.floor(min(-math.log1p(-(aim**2)) / (2 * decay), _MOST_DRAWS)) - 1)  # one draw was not enough
    enough = -math.log1p(-aim) / decay
    if enough > _MOST_DRAWS:
        return LeakedRange(float(too_few + 1), float(math.ceil(enough)))
    first_enough = max(too_few + 1, math.ceil(enough) + 1)

    def ends(n: int) -> tuple[float, float]:
        found = tv_pmf(n, p, q, grid=positive(grid=grid)) if grid is not None else refined(n, p, q, advantage=aim)
        return found.lower, found.upper

    last_too_few, _ = _halved(lambda n: ends(n)[1] >= aim, too_few, first_enough)
    _, proved = _halved(lambda n: ends(n)[0] >= aim, last_too_few, first_enough)
    return LeakedRange(float(last_too_few + 1), float(proved))


def _halved(holds: Test, low: int, high: int) -> tuple[int, int]:
    """Return neighbors (low, high) with the test false at low and true at high, which it is taken to be at the ends given."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return low, high
