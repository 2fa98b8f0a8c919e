"""What float arithmetic costs a counter on the real path: a factor on every probability, hence almost nothing.

A release is computed in floats, within eta of the ideal real-valued one, and rounded to a grid g. Let Y be all n ideal releases, S the
sums, w = L'^{-1} (Y - S) / sigma, with L = L' Q, L' lower triangular, Q of orthonormal rows: w is standard normal whatever the adversary
does. For a transcript o let B be its box of cells, B+ the box enlarged by eta on all sides. P[computed = o] <= P[Y in B+] while all bounds
hold. The map y -> o + (y - o) g / (g + 2 eta) takes B+ to B, moves no coordinate by more than eta, and

    its Jacobian gives a factor                      <= exp(2 n eta / (g - 2 eta))
    w moves by v = L'^{-1}(y - y') / sigma, density  <= exp(|w . v| + |v|^2 / 2) <= exp(m c + m^2 / 2),  m = 2 n eta Delta / sigma

since column j of L'^{-1} is Q R (e_j - e_{j+1}), of norm <= 2 Delta, and |w . column| <= c 2 Delta unless a normal draw exceeds c. So, with
K the sum of both exponents and tau the probability that some bound fails, P~[E] <= exp(K) P[E] + tau and the reverse for every event E:

    ideal (epsilon, delta)  ->  computed (epsilon + 2 K, exp(K) delta + (1 + exp(epsilon + K)) tau)

A bound by total variation, 2 eta (1 / g + 1 / (sqrt(2 pi) sd)) a release, would charge (1 + exp(epsilon)) times its sum to delta, which is
far more. (Its first term counts the borders between cells; one border alone, 2 eta / (sqrt(2 pi) sd), is too little by 2.5 sd / g.)

eta = eta_draw + eta_sum. Draws err by at most NORMAL_ERROR max(1, r), r <= c, with a fair sign of their own, so their weighted sum is
sub-Gaussian: eta_draw = sigma ||L_t|| NORMAL_ERROR c u, except with probability 2 exp(-u^2/2). Rounding errors of sums and products are
taken to add up to at most eta_sum = sigma ||L_t|| 2^-50 c sqrt(T) (as if of random signs; Higham, Mary 2019); measured against 80-bit
arithmetic up to T = 2^18 they stay below a tenth of it. This last bound is an assumption of the guarantee.

Symbols: Delta L2 sensitivity of R, sigma noise scale, n releases (steps times coordinates), r radius of a pair of draws (`noise.normal`),
c = u = 16. Cost: O(1).

References
----------
Mironov, CCS 2012. Higham, Mary, A New Approach to Probabilistic Rounding Error Analysis, SIAM J. Sci. Comput. 2019.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mechanisms.noise.normal import NORMAL_ERROR
from mechanisms.noise.total_variation import delta_of_tv

ARITHMETIC_ASSUMPTION = "rounding errors of float sums add up as if of random signs (Higham, Mary 2019); the draws' own errors are bounded"
_LARGEST_Z = _DEVIATION = 16.0
_P_LARGER_Z = 2.6e-56  # of a radius, exp(-128), rounded up; of a draw it is 2 Phi(-16)
_P_DEVIATION = 5.2e-56  # 2 exp(-128), rounded up
_SUM_ERROR = 2.0**-50


@dataclass(frozen=True, slots=True)
class FloatCost:
    """Computed and ideal probabilities differ by at most a factor exp(ratio) and a summand `tail`."""

    ratio: float = 0.0
    tail: float = 0.0

    @property
    def epsilon(self) -> float:
        """What is added to epsilon."""
        return 2 * self.ratio

    def delta(self, epsilon: float, delta: float) -> float:
        """Return the delta of the computed mechanism, for an ideal (epsilon, delta); at most 1."""
        return min(1.0, math.exp(self.ratio) * delta + delta_of_tv(self.tail, epsilon + self.ratio))


def float_cost(*, horizon: int, dim: int, row_norm: float, sensitivity: float, scale: float, grid: float) -> FloatCost:
    """Return the cost of all releases.

    Parameters
    ----------
    horizon, dim : T steps of `dim` coordinates.
    row_norm : largest ||L_t||.
    sensitivity : Delta of R for a change of 1.
    scale : sigma, in the units of `grid`.
    grid : what releases are rounded to.

    Raises
    ------
    ValueError : a grid so fine that it resolves the arithmetic's errors.

    Examples
    --------
    >>> float_cost(horizon=2**16, dim=1, row_norm=4.3, sensitivity=1.0, scale=1.0, grid=1.0).epsilon < 1e-3
    True
    """
    eta = scale * row_norm * _LARGEST_Z * (NORMAL_ERROR * _DEVIATION + _SUM_ERROR * math.sqrt(horizon)) + grid * 2.0**-52
    if eta > grid / 16:
        raise ValueError("granularity is finer than the arithmetic; take a coarser one")
    n = float(horizon) * dim
    moved = n * eta * 2 * sensitivity / scale
    ratio = 2 * n * eta / (grid - 2 * eta) + moved * _LARGEST_Z + moved**2 / 2
    return FloatCost(min(ratio, 700.0), n * (_P_LARGER_Z + _P_DEVIATION) + (4 * n + 4096 * dim) * _P_LARGER_Z)
