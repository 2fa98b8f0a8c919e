"""How strongly training noise shall be correlated: the filter whose predicted error at equal privacy is least, from public parameters.

    error = Delta_2^2 mean_t ||L_t||^2,    L = A diag(eta) R^{-1},    eta the learning rate of each step (ones if it is not declared)

Noise that cancels over a long time has a small ||L_t|| and, as a record's participations add up along it, a large Delta_2. Each family runs
from independent noise to the square root and is searched for the best place between:

    banded_inverse        the first p taps of (1 - x)^{1/2}, p - 1 numbers of state
    buffered_toeplitz     square-root coefficients c_k decay^k
    scaled_square_root    the same between a row scale and columns of norm 1: ln a_t = x_1 ln s(T-t+1) + x_2 ln s(t) + x_3 ln eta_t

The range of a is limited to e^7, so that single-precision buffers stay accurate. Any number found gives the same privacy, because Delta_2
is computed for it. Cost: 20 to 300 evaluations of the error; scaled_square_root 0.3 s at 150 steps, 10 s at 2,000, the others a tenth.

References
----------
Kalinin, McMahan, Upadhyay, Lampert, ICLR 2026. McMahan, Xu, Zhang 2024 (buffers fitted to several participations). Denisov et al., NeurIPS
2022 (workloads with learning rates). The decay and the learning rate in the row scale are ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mechanisms.continual.exponential_sums import ExponentialSum, root_as_exponentials
from mechanisms.continual.factorization import Floats
from mechanisms.continual.square_root import inverse_root_coefficients, root_coefficients
from mechanisms.continual.training.noise_filter import ExponentialFilter, NoiseFilter, TapFilter
from mechanisms.continual.training.schedule import Schedule, column_norms, schedule_sensitivity

_WIDEST_SCALE = 7.0  # of ln a
_LEAST_SHARE = 1e-3  # of the largest learning rate: below it, a step's scale follows no further
_EVALUATIONS = 250

Tables = tuple[NoiseFilter, Floats, Floats]
"""Filter, scale (T,), gain (T,)."""
Maker = Callable[[Floats, Schedule, int], Tables]
"""Of the learning rates (T,), the schedule and the numbers of state allowed per parameter."""


def independent(learning_rate: Floats, schedule: Schedule, max_state: int) -> Tables:  # noqa: ARG001
    """Return independent noise: DP-SGD without sampling."""
    return _flat(TapFilter(np.ones(1)), len(learning_rate))


def square_root(learning_rate: Floats, schedule: Schedule, max_state: int) -> Tables:  # noqa: ARG001
    """Return the square root with all draws kept."""
    return _flat(TapFilter(inverse_root_coefficients(len(learning_rate))), len(learning_rate))


def banded_inverse(learning_rate: Floats, schedule: Schedule, max_state: int) -> Tables:
    """Return the best number of taps up to `max_state` + 1."""
    T = len(learning_rate)
    most = min(T, max_state + 1)
    numbers = sorted({min(most, round(p)) for p in (*range(1, 13), *np.geomspace(13, max(13, most), 12))})
    made = [_flat(TapFilter(inverse_root_coefficients(p)), T) for p in numbers]
    return min(made, key=lambda tables: predicted_error(tables, learning_rate, schedule))


def buffered_toeplitz(learning_rate: Floats, schedule: Schedule, max_state: int) -> Tables:  # noqa: ARG001
    """Return the buffers with the best decay."""
    from scipy import optimize

    T = len(learning_rate)
    root = root_as_exponentials(T)

    def made(loss: float) -> Tables:
        return _flat(ExponentialFilter(_decayed(root, loss)), T)

    found = optimize.minimize_scalar(
        lambda loss: math.log(predicted_error(made(loss), learning_rate, schedule)), bounds=(-7, -0.01), method="bounded"
    )
    return min(made(-math.inf), made(float(found.x)), key=lambda tables: predicted_error(tables, learning_rate, schedule))


def scaled_square_root(learning_rate: Floats, schedule: Schedule, max_state: int) -> Tables:  # noqa: ARG001
    """Return the buffers between the best row scale and columns of norm 1."""
    from scipy import optimize

    T = len(learning_rate)
    root, log_s = root_as_exponentials(T), np.log(np.cumsum(root_coefficients(T) ** 2))
    log_rate = np.log(np.maximum(learning_rate / learning_rate.max(), _LEAST_SHARE))

    def made(x: Floats) -> Tables:
        noise_filter = ExponentialFilter(_decayed(root, float(x[0])))
        log_scale = x[1] * log_s[::-1] + x[2] * log_s + x[3] * log_rate
        scale = np.exp(log_scale - log_scale.max())
        return noise_filter, scale, column_norms(noise_filter, scale)

    def log_error(x: Floats) -> float:
        log_scale = x[1] * log_s[::-1] + x[2] * log_s + x[3] * log_rate
        if not np.ptp(log_scale) <= _WIDEST_SCALE or not -7 <= x[0] <= -0.01:
            return math.inf
        return math.log(predicted_error(made(x), learning_rate, schedule))

    starts = [np.array([start, 0.5, 0.3, 0.5]) for start in (-3.0, -1.5)]
    start = min(starts, key=log_error)
    simplex = start + np.vstack([np.zeros(4), np.diag([0.7, 1.0, 0.4, 0.7])])
    options = {"maxfev": _EVALUATIONS, "xatol": 1e-3, "fatol": 1e-5, "initial_simplex": simplex}
    return made(optimize.minimize(log_error, start, method="Nelder-Mead", options=options).x)


MAKERS: dict[str, Maker] = {
    "identity": independent,
    "square_root": square_root,
    "banded_inverse": banded_inverse,
    "buffered_toeplitz": buffered_toeplitz,
    "scaled_square_root": scaled_square_root,
}


def predicted_error(tables: Tables, learning_rate: Floats, schedule: Schedule) -> float:
    """Return Delta_2^2 mean_t ||L_t||^2."""
    noise_filter, scale, gain = tables
    sensitivity = schedule_sensitivity(noise_filter, scale, gain, schedule)
    return sensitivity**2 * float(noise_filter.variances(scale, gain * learning_rate).mean())


def _flat(noise_filter: NoiseFilter, T: int) -> Tables:
    return noise_filter, np.ones(T), np.ones(T)


def _decayed(root: ExponentialSum, log_loss: float) -> ExponentialSum:
    """Return the exponentials of c_k decay^k, decay = 1 - 10^log_loss."""
    decay = 1 - 10.0**log_loss
    return ExponentialSum(root.weight * decay, root.rate * decay)
