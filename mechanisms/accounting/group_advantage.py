"""How well releases from data sets that lie several neighboring steps apart can be told apart under differential privacy, exactly.

symbols: m neighboring steps between two data sets, y = e^-epsilon, c = delta / (e^epsilon - 1), adv = total variation of the two releases.
For every (epsilon, delta)-DP release

    adv <= (1 + 2 c) T_m(epsilon),   T_m = 1 - y^(m/2) for even m,   T_m = 1 - 2 y^((m-1)/2) / (1 + e^epsilon) for odd m.

Proof. Let S be an event and p_k its probability along a chain of neighbors, k = 0, ..., m. Both directions of the definition give
p_(k+1) <= e^epsilon p_k + delta and 1 - p_(k+1) >= y (1 - p_k - delta). With u = (p + c) / (1 + 2 c) these read
u_(k+1) <= g(u_k), g(u) = min(e^epsilon u, 1 - y (1 - u)), an increasing map, so u_m <= g^m(u_0). If g takes its first branch j times (the
first j times, since u rises), u_m - u_0 = 1 - y^(m-j) + (e^((2j-m) epsilon) - 1) u_0 at most, which rises with u_0 while 2 j > m and
falls where 2 j < m. So it is largest where j = m / 2, or where j passes from (m + 1) / 2 to (m - 1) / 2, that is at
g^((m-1)/2)(u_0) = 1 / (1 + e^epsilon); both values stand above. For delta = 0 a count with geometric noise reaches them, so no better bound
holds for all releases. The plain combination of group privacy and TV <= tanh(x / 2), x = m epsilon, is weaker for every m > 1.

Here m = steps K with K ~ Binomial(n_pairs, chance), for data sets coupled so that K records differ; the bound is then the mean over K, in
closed form: with s = sech(epsilon / 2), A = (1 - chance + chance y^(1/2))^n_pairs, B = (1 - chance - chance y^(1/2))^n_pairs,

    steps = 2    1 - (1 - chance + chance y)^n_pairs
    steps = 1    1 - A (1 + s) / 2 - B (1 - s) / 2

Cost: a dozen elementary functions; 64 rounds of them for an inverse.

References
----------
Dwork, Roth, The Algorithmic Foundations of Differential Privacy, 2014, section 2.3 (group privacy). Ghosh, Roughgarden, Sundararajan,
Universally Utility-Maximizing Privacy Mechanisms, SIAM J. Comput. 2012 (geometric noise).
"""

from __future__ import annotations

import math

from mechanisms.validation import in_range, valid_delta, whole_number

_ROUNDS = 64
_LARGEST = 700.0  # e^epsilon is still finite


def group_advantage(epsilon: float, *, delta: float = 0.0, steps: int, n_pairs: int, chance: float = 1.0) -> float:
    """Return the largest total variation that (epsilon, delta)-DP allows between releases from coupled data sets.

    Parameters
    ----------
    epsilon, delta : of the release, for one neighboring step; epsilon may be infinite.
    steps : neighboring steps that one differing record takes: 1 if records are replaced, 2 if they are added and removed.
    n_pairs, chance : K ~ Binomial(n_pairs, chance) records differ; `chance=1` for exactly n_pairs.

    Returns
    -------
    In [0, 1].

    Raises
    ------
    ValueError, TypeError : a parameter out of range.

    Examples
    --------
    >>> round(group_advantage(0.1, steps=1, n_pairs=30), 6), round(group_advantage(0.1, steps=2, n_pairs=30), 6)
    (0.77687, 0.950213)
    """
    epsilon, delta = in_range(0, math.inf, closed="both", epsilon=epsilon), valid_delta(delta)
    steps, n_pairs, chance = _checked_coupling(steps, n_pairs, chance)
    return _limit(epsilon, delta, steps, n_pairs, chance)


def epsilon_of_group_advantage(advantage: float, *, delta: float = 0.0, steps: int, n_pairs: int, chance: float = 1.0) -> float:
    """Return the epsilon below which the advantage is impossible, as `group_advantage` says: a lower bound of every release's epsilon.

    Parameters
    ----------
    advantage : of an attack, or a lower bound of it, at most 1; nothing is shown by one that is not positive.
    delta, steps, n_pairs, chance : see `group_advantage`.

    Returns
    -------
    Epsilon >= 0; infinite where no finite epsilon allows the advantage. Rounded down by at most 1e-15 of its value.

    Examples
    --------
    >>> round(epsilon_of_group_advantage(0.77687, steps=1, n_pairs=30), 4)
    0.1
    """
    advantage, delta = in_range(-1, 1, closed="both", advantage=advantage), valid_delta(delta)
    steps, n_pairs, chance = _checked_coupling(steps, n_pairs, chance)
    if advantage <= _limit(0.0, delta, steps, n_pairs, chance):
        return 0.0
    if advantage > _limit(math.inf, delta, steps, n_pairs, chance):
        return math.inf
    low, high = 0.0, 1.0
    while _limit(high, delta, steps, n_pairs, chance) < advantage:
        low, high = high, 2 * high
        if high > _LARGEST:
            return low
    for _ in range(_ROUNDS):  # the limit stays below the advantage at `low`
        middle = (low + high) / 2
        low, high = (middle, high) if _limit(middle, delta, steps, n_pairs, chance) < advantage else (low, middle)
    return low


def _checked_coupling(steps: int, n_pairs: int, chance: float) -> tuple[int, int, float]:
    if steps not in (1, 2):
        raise ValueError(f"steps must be 1 (records are replaced) or 2 (added and removed), got {steps}")
    return steps, whole_number(n_pairs=n_pairs), in_range(0, 1, closed="both", chance=chance)


def _limit(epsilon: float, delta: float, steps: int, n_pairs: int, chance: float) -> float:
    if n_pairs == 0 or chance == 0:
        return 0.0
    if epsilon == 0:
        return min(1.0, delta * steps * n_pairs * chance)
    mean = _mean_of_even(epsilon, n_pairs, chance) if steps == 2 else _mean_of_any(epsilon, n_pairs, chance)
    return min(1.0, mean * (1 + 2 * delta / math.expm1(min(epsilon, _LARGEST))))


def _mean_of_even(epsilon: float, n_pairs: int, chance: float) -> float:
    """E[T_2K] = 1 - (1 - chance + chance y)^n_pairs, without cancellation."""
    differ = -chance * math.expm1(-epsilon)
    return 1.0 if differ >= 1 else -math.expm1(n_pairs * math.log1p(-differ))


def _mean_of_any(epsilon: float, n_pairs: int, chance: float) -> float:
    """E[T_K] = (1 - A) + (A - B) (1 - s) / 2, without cancellation."""
    one_minus_a = _mean_of_even(epsilon / 2, n_pairs, chance)
    b = (1 - chance - chance * math.exp(-epsilon / 2)) ** n_pairs
    half = min(epsilon, _LARGEST) / 2
    one_minus_s = 2 * math.sinh(half / 2) ** 2 / math.cosh(half)
    return one_minus_a + (1 - one_minus_a - b) * one_minus_s / 2
