"""The privacy curve of DP-SGD as a whole: the law of the total privacy loss, by one Fourier transform, in milliseconds.

One step of the Poisson-subsampled Gaussian shows o ~ N(0, sigma^2) without the record and (1 - q) N(0, sigma^2) + q N(1, sigma^2) with it.
Its loss and the inverse are

    l(o) = log(1 - q + q exp((2 o - 1) / (2 sigma^2)))       o(l) = sigma^2 (log(e^l - 1 + q) - log q) + 1/2

symbols: q = sample_rate, sigma = noise_multiplier, T = steps; c0 and c1 = law of the sum of T losses without and with the record.
Masses of equal bins come from normal distribution functions, the T-fold convolution from one transform; the grid is then moved by
-T log(sum p0 e^l), which takes the rounding bias away (E0[e^l] = 1 must hold).

NOT pessimistic: right to about 6e-5 relative, on either side. It serves draws of a posterior and hypotheses of tests, never a claim;
claims stay with `dp_sgd_epsilon` (pessimistic privacy loss distributions).

References
----------
Koskela, Jaelkoe, Honkela, Computing Tight Differential Privacy Guarantees Using FFT, AISTATS 2020. Gopi, Lee, Wutschitz, Numerical
Composition of Differential Privacy, NeurIPS 2021. Dong, Roth, Su, Gaussian Differential Privacy, JRSS-B 2022.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, special

from mechanisms.errors import UnsupportedClaimError
from mechanisms.validation import in_range, positive, valid_sample_rate, whole_number

Floats = NDArray[np.float64]

LEAST_POINTS, MOST_POINTS = 2**14, 2**20
RESOLUTION = 0.02  # bin width over the standard deviation of one step's loss
LEAST_DELTA = 1e-12  # below it the transform's rounding (1e-16 of the whole) would be read as probability
_REACH = 9.0  # standard deviations of the total, and of one step, that the grid holds
_QUADRATURE = 2001


@dataclass(frozen=True, slots=True, eq=False)
class LossCurve:
    """Law of the total privacy loss of T steps.

    Parameters
    ----------
    sample_rate, noise_multiplier, steps : the mechanism; the noise multiplier is over the record's actual length (sigma / c).
    loss : (n,) increasing equally spaced losses, in nats.
    c0, c1 : (n,) probabilities of each loss without and with the record; read-only, each sums to 1.
    """

    sample_rate: float
    noise_multiplier: float
    steps: int
    loss: Floats
    c0: Floats
    c1: Floats

    def delta(self, epsilon: ArrayLike) -> float | Floats:
        """Return the smallest delta for which the mechanism is (epsilon, delta)-DP under add/remove: the larger hockey-stick divergence.

        Parameters
        ----------
        epsilon : float or array, >= 0, in nats.

        Returns
        -------
        A float, or an array of the same shape.

        Raises
        ------
        ValueError : a negative or NaN epsilon.
        """
        at = np.asarray(epsilon, dtype=np.float64)
        if not (at >= 0).all():
            raise ValueError(f"epsilon must hold numbers >= 0, got {int((~(at >= 0)).sum())} of {at.size} outside")
        found = np.maximum(_hockey_stick(self.loss, self.c1, at), _hockey_stick(-self.loss[::-1], self.c0[::-1], at))
        return float(found) if found.ndim == 0 else found

    def epsilon(self, delta: float) -> float:
        """Return the smallest epsilon >= 0 at which delta suffices, in nats.

        Raises
        ------
        ValueError : delta outside [1e-12, 1); below it the arithmetic ends.
        """
        delta = in_range(LEAST_DELTA, 1, closed="left", delta=delta)
        return max(_first_epsilon(self.loss, self.c1, delta), _first_epsilon(-self.loss[::-1], self.c0[::-1], delta))

    @property
    def auc(self) -> float:
        """Area A under the ROC of the optimal attack: P(loss of a member > loss of a non-member), ties by half."""
        return float(self.c1 @ (np.cumsum(self.c0) - self.c0 / 2))

    def auc_variances(self) -> tuple[float, float]:
        """Return (v1, v0): an empirical area from n1 members and n0 non-members has variance near v1 / n1 + v0 / n0 (DeLong 1988)."""
        below = np.cumsum(self.c0) - self.c0 / 2
        above = 1 - np.cumsum(self.c1) + self.c1 / 2
        return _variance(self.c1, below), _variance(self.c0, above)

    @property
    def roc(self) -> tuple[Floats, Floats]:
        """Return (fpr, tpr) of the optimal attack from (0, 0) to (1, 1), (n + 1,) each: the threshold falls through the losses."""
        fpr, tpr = (np.concatenate([[0.0], np.minimum(np.cumsum(law[::-1]), 1.0)]) for law in (self.c0, self.c1))
        fpr[-1] = tpr[-1] = 1.0
        return fpr, tpr

    def trade_off(self, fpr: ArrayLike) -> float | Floats:
        """Return f(fpr), the smallest false negative rate that any attack on "out against in" has at this false positive rate."""
        at = np.asarray(fpr, dtype=np.float64)
        if not ((at >= 0) & (at <= 1)).all():
            raise ValueError(f"fpr must hold probabilities in [0, 1], got {at.size} values, not all of them inside")
        x, y = self.roc
        found = np.asarray(1 - np.interp(at, x, y), dtype=np.float64)
        return float(found) if found.ndim == 0 else found

    @property
    def mutual_information(self) -> float:
        """Mutual information of one record's fair coin and the release, in nats, at most log 2."""
        seen = self.c1 @ special.log_expit(self.loss) + self.c0 @ special.log_expit(-self.loss)
        return float(math.log(2) + seen / 2)


def loss_curve(*, sample_rate: float, noise_multiplier: float, steps: int, resolution: float = RESOLUTION) -> LossCurve:
    """Return the law of the total privacy loss of DP-SGD with Poisson sampling.

    Parameters
    ----------
    sample_rate : Poisson inclusion probability, in (0, 1].
    noise_multiplier : noise standard deviation over the record's length, > 0.
    steps : number of steps, >= 1.
    resolution : widest bin allowed, in standard deviations of one step's loss with the record; 0.16 is faster and right to about 1e-3.

    Returns
    -------
    The curve, add/remove neighbors.

    Raises
    ------
    ValueError : a parameter out of range.
    UnsupportedClaimError : one step's loss is so much finer than the total that 2^20 points can't resolve it.

    Guarantee
    ---------
    None: not pessimistic. Relative difference to pessimistic privacy loss distributions <= 6e-5 in epsilon at delta 1e-5 to 1e-6
    (tests/mechanisms/test_loss_curve.py).

    Notes
    -----
    About 10 ms with 2^14 points; more points where one step's loss is much finer than the total.

    Examples
    --------
    >>> round(loss_curve(sample_rate=1 / 15, noise_multiplier=1.0, steps=200).auc, 4)
    0.7875
    """
    q, sigma = valid_sample_rate(sample_rate), positive(noise_multiplier=noise_multiplier)
    steps = whole_number(1, steps=steps)
    half, step_spread = _half_range(q, sigma, steps)
    wanted = 2 ** math.ceil(math.log2(2 * half / (positive(resolution=resolution) * step_spread)))
    if wanted > MOST_POINTS:
        raise UnsupportedClaimError(
            f"loss curve of sample_rate {q:g}, noise_multiplier {sigma:g}, steps {steps} needs more than {MOST_POINTS} points; "
            "use dp_sgd_epsilon"
        )
    n = max(wanted, LEAST_POINTS)
    width = 2 * half / n
    loss = width * np.arange(-(n // 2), n // 2)
    p0, p1 = _step_masses(loss, width, q, sigma)
    some = p0 > 0
    shift = -steps * float(special.logsumexp(np.log(p0[some]) + loss[some]))
    c0, c1 = _convolved(p0, steps), _convolved(p1, steps)
    for array in (shifted := loss + shift, c0, c1):
        array.flags.writeable = False
    return LossCurve(q, sigma, steps, shifted, c0, c1)


def step_loss(o: Floats, sample_rate: float, noise_multiplier: float) -> Floats:
    """Return l(o) = log(1 - q + q exp((2 o - 1) / (2 sigma^2))), same shape, without overflow."""
    tilt = (2 * o - 1) / (2 * noise_multiplier**2)
    if sample_rate == 1:
        return tilt
    return np.asarray(np.logaddexp(math.log1p(-sample_rate), math.log(sample_rate) + tilt), dtype=np.float64)


def _half_range(q: float, sigma: float, steps: int) -> tuple[float, float]:
    """Return the half range of the grid, and the standard deviation of one step's loss with the record."""
    o = np.linspace(-_REACH * sigma, 1 + _REACH * sigma, max(_QUADRATURE, math.ceil(20 / sigma)))
    out = np.exp(-((o / sigma) ** 2) / 2)
    inside = (1 - q) * out + q * np.exp(-(((o - 1) / sigma) ** 2) / 2)
    loss = step_loss(o, q, sigma)
    ends, spreads = [], []
    for density, sign in ((inside, 1.0), (out, -1.0)):
        density = density / density.sum()
        mean, spread = sign * float(density @ loss), math.sqrt(_variance(density, loss))
        ends.append(steps * mean + _REACH * math.sqrt(steps) * spread)
        spreads.append(spread)
    return 1.05 * max(ends) + float(np.abs(loss[[0, -1]]).max()), spreads[0]


def _step_masses(loss: Floats, width: float, q: float, sigma: float) -> tuple[Floats, Floats]:
    """Return the masses of bins around `loss` without and with the record; the ends take the tails."""
    o = _inverse_step_loss(loss[1:] - width / 2, q, sigma)
    out, moved = _cell_masses(o / sigma), _cell_masses((o - 1) / sigma)
    return out, (1 - q) * out + q * moved


def _cell_masses(edges: Floats) -> Floats:
    """Return the standard normal masses between edges, from the nearer tail, so that small ones stay exact."""
    low, high = np.concatenate([[-np.inf], edges]), np.concatenate([edges, [np.inf]])
    return np.asarray(np.where(low > 0, special.ndtr(-low) - special.ndtr(-high), special.ndtr(high) - special.ndtr(low)), dtype=np.float64)


def _inverse_step_loss(loss: Floats, q: float, sigma: float) -> Floats:
    if q == 1:
        return sigma**2 * loss + 0.5
    excess = np.expm1(np.minimum(loss, 700.0)) + q
    with np.errstate(divide="ignore", invalid="ignore"):
        o = sigma**2 * (np.log(excess) - math.log(q)) + 0.5
    o = np.where(excess > 0, o, -np.inf)
    return np.where(loss > 700, sigma**2 * (loss - math.log(q)) + 0.5, o)


def _convolved(mass: Floats, steps: int) -> Floats:
    """Return the law of the sum of `steps` draws, on the same grid; loss 0 stands in the middle of it."""
    spectrum = fft.rfft(np.roll(mass, -(len(mass) // 2)))
    total = np.maximum(np.roll(fft.irfft(spectrum**steps, n=len(mass)), len(mass) // 2), 0.0)
    return np.asarray(total / total.sum(), dtype=np.float64)


def _tail_sums(loss: Floats, law: Floats) -> tuple[Floats, Floats]:
    """Return, over losses >= l_k, the sum of law and the logarithm of the sum of law e^-l, for k up to n (empty): (n + 1,) each."""
    with np.errstate(divide="ignore"):
        tilted = np.logaddexp.accumulate((np.log(law) - loss)[::-1])[::-1]
    return np.append(np.cumsum(law[::-1])[::-1], 0.0), np.append(tilted, -np.inf)


def _hockey_stick(loss: Floats, law: Floats, epsilon: Floats) -> Floats:
    """Return sum of law (1 - e^(epsilon - l)) over losses l > epsilon."""
    plain, tilted = _tail_sums(loss, law)
    k = np.searchsorted(loss, epsilon, side="right")
    beyond = k == len(loss)
    kept = np.where(beyond, 0.0, epsilon)  # an infinite epsilon has no exponential
    return np.where(beyond, 0.0, np.maximum(plain[k] - np.exp(kept + tilted[k]), 0.0))


def _first_epsilon(loss: Floats, law: Floats, delta: float) -> float:
    """Return where the hockey-stick divergence falls to delta, 0 if it starts below; exact between two losses."""
    plain, tilted = _tail_sums(loss, law)
    reached = plain[1:] - np.exp(loss + tilted[1:]) <= delta  # the divergence at epsilon = l_k
    k = int(np.argmax(reached))
    if plain[k] <= delta:
        return 0.0
    return max(0.0, math.log(plain[k] - delta) - float(tilted[k]))


def _variance(law: Floats, values: Floats) -> float:
    mean = float(law @ values)
    return float(law @ (values - mean) ** 2)
