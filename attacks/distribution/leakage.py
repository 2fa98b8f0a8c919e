"""How many records an ideal observer would need to be as accurate as an attack: `n_leaked`, exact and by three bounds.

For n draws with rates a < b and advantage adv = 2 accuracy - 1, every observer has adv <= TV_n (`ideal_observer`), and

    exact         smallest n with TV_n >= adv
    others        TV_n^2 <= 1 - e^(-n r),  so  n >= -ln(1 - adv^2) / r
    hellinger     r = -2 ln(sqrt(a b) + sqrt((1-a)(1-b)))
    kl            r = min(KL(a, b), KL(b, a))
    renyi_inf     r = -ln max(a/b, (1-b)/(1-a))                            the published formula
    gaussian      n = (z (sqrt(a(1-a)) + sqrt(b(1-b))) / (b - a))^2,  z = Phi^-1(accuracy)

renyi_inf <= kl <= hellinger <= exact. "exact" is the number of records that do tell as much; the three bounds are numbers with which no
observer could manage, and `renyi_inf` is too small by a factor of about 1 / (b - a).
Cost: about five evaluations of TV an element.

References
----------
Suri, Evans, Formalizing and Estimating Distribution Inference Risks, PETS 2022 (renyi_inf). Bretagnolle, Huber 1979 (TV and KL).
"""

from __future__ import annotations

import warnings
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from attacks.distribution.arguments import probabilities
from attacks.distribution.first_draw import first_draws, interpolated
from attacks.distribution.ideal_observer import MOST_DRAWS
from attacks.distribution.rates import RATES
from mechanisms.accounting.elementwise import as_given
from mechanisms.errors import WeakEvidenceWarning
from mechanisms.validation import one_of

Floats = NDArray[np.float64]
Method = Literal["exact", "hellinger", "kl", "renyi_inf", "gaussian"]
METHODS: tuple[str, ...] = get_args(Method)


def n_leaked(accuracy: ArrayLike, p: ArrayLike, q: ArrayLike, *, method: Method = "exact", interpolate: bool = False) -> float | Floats:
    """Return the number of records from which an ideal observer tells the rates p and q apart with this accuracy.

    Parameters
    ----------
    accuracy : balanced accuracy (TNR + TPR) / 2 of an attack, in [0, 1].
    p, q : the two property rates, in [0, 1], in either order; all three broadcast.
    method : "exact", or a lower bound of it ("hellinger", "kl", "renyi_inf"), or the large-n form "gaussian".
    interpolate : make "exact" continuous: linear in the advantage between the n found and the first n that is as good as n - 1. The other
        methods are continuous as they stand.

    Returns
    -------
    A float or an array; whole numbers for "exact" without interpolation. 0 for an accuracy of 1/2 or less, which is never mirrored.
    Infinite for an accuracy of 1 with rates that no finite number of records separates, and for equal rates.

    Raises
    ------
    ValueError, TypeError : accuracy, p or q outside [0, 1], NaN or no number; an unknown method.

    Warns
    -----
    WeakEvidenceWarning : the rates are equal and the accuracy is above 1/2: chance, or worlds that differ in something else.

    Notes
    -----
    A lower limit of what the model leaks, set by the strength of the attack. It counts records drawn from the distribution, not people who
    are exposed, and belongs to the pair of rates; numbers of different methods must not be compared.

    "exact" is exact where the Gaussian form is at most 2^50 (1.1e15); beyond, the Gaussian form is returned. An advantage is reached when
    1 - TV_n <= (1 - adv)(1 + 1e-12) + 4e-16, because 2 * 0.55 - 1 is above 0.1 in floating point.

    Examples
    --------
    >>> n_leaked(0.9, 0.5, 0.2)
    16.0
    >>> round(n_leaked(0.9, 0.5, 0.2, method="renyi_inf"), 2)
    2.17
    >>> n_leaked([0.3, 0.75, 0.99], 0.5, 0.4)
    array([  0.,  45., 533.])
    """
    one_of(METHODS, method=method)
    acc, first, second = np.broadcast_arrays(*probabilities(accuracy=accuracy, p=p, q=q))
    low, high = np.minimum(first, second), np.maximum(first, second)
    above = acc > 0.5
    impossible = above & (low == high)
    if impossible.any():
        warnings.warn(
            f"{int(impossible.sum())} of {acc.size} accuracies are above 1/2 though the two rates are equal: chance, or the worlds differ "
            "in more than the rate; n_leaked is infinite there",
            WeakEvidenceWarning,
            stacklevel=2,
        )
    result = np.where(impossible, np.inf, 0.0)
    todo = above & ~impossible
    result[todo] = _leaked(acc[todo], low[todo], high[todo], method, interpolate)
    return as_given(result)


def _leaked(acc: Floats, low: Floats, high: Floats, method: str, interpolate: bool) -> Floats:
    """Return n for accuracies above 1/2 and rates low < high, all one-dimensional."""
    if method == "exact":
        return _exact(acc, low, high, interpolate)
    if method == "gaussian":
        return _gaussian(acc, low, high)
    with np.errstate(divide="ignore"):
        advantage_term = -np.log(4 * acc * (1 - acc))  # 1 - (2 acc - 1)^2, without its cancellation
    rate = RATES[method](low, high)
    separated = np.isinf(rate)  # rates 0 and 1: one record is enough
    return np.where(separated, 0.0, advantage_term / np.where(separated, 1.0, rate))


def _exact(acc: Floats, low: Floats, high: Floats, interpolate: bool) -> Floats:
    gaussian = _gaussian(acc, low, high)
    result = np.where((acc == 1) & (low == 0) & (high == 1), 1.0, gaussian)
    todo = (acc < 1) & (gaussian <= MOST_DRAWS)
    acc, low, high = acc[todo], low[todo], high[todo]
    found = first_draws(acc, low, high, start=gaussian[todo])
    result[todo] = interpolated(found, acc, low, high) if interpolate else found.n
    return result


def _gaussian(acc: Floats, low: Floats, high: Floats) -> Floats:
    spread = np.sqrt(low * (1 - low)) + np.sqrt(high * (1 - high))
    separated = spread == 0
    z = np.where(separated, 1.0, special.ndtri(acc))
    return np.asarray((z * spread / (high - low)) ** 2, dtype=np.float64)
