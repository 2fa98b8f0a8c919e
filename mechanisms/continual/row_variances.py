"""Exact variances of all rows of A diag(n) G diag(1/a) for a G that is a sum of exponentials, in one pass over t.

    G has coefficients g_0 = 1, g_k = sum_i v_i la_i^{k-1};  row t is  L_tj = (1/a_j) sum_{i=j..t} n_i g_{i-j}
    ||L_t||^2 = ||L_{t-1}||^2 + 2 n_t sum_i v_i P_i(t) + n_t^2 (sum_ij v_i v_j Q_ij(t) + 1/a_t^2)
    Q_ij(t) = sum_{j'<t} (la_i la_j)^{t-j'-1} / a_j'^2
    P_i(t+1) = la_i (P_i(t) + n_t sum_j v_j Q_ij(t)) + n_t / a_t^2

P_i is the inner product of row t - 1 (times 1/a) with the i-th exponential; every recursion is a first-order filter.
Cost: m (m + 3)/2 filters of length T: 3 ms at T = 1,024, about 1 s at T = 2^20 with m = 12. The dense matrix is the oracle in the test.
"""

from __future__ import annotations

import numpy as np

from mechanisms.continual.exponential_sums import ExponentialSum, geometric, shifted
from mechanisms.continual.factorization import Floats


def row_variances(inverse: ExponentialSum, scale: Floats, gain: Floats) -> Floats:
    """Return ||L_t||^2 for t = 1 to T.

    Parameters
    ----------
    inverse : coefficients of G.
    scale, gain : (T,) a and n, both positive.
    """
    precision = 1 / scale**2
    earlier = shifted(precision)
    squares = precision.copy()
    drive = np.zeros((inverse.n_terms, len(scale)))
    for i in range(inverse.n_terms):
        for j in range(i, inverse.n_terms):
            q = geometric(inverse.rate[i] * inverse.rate[j], earlier)
            squares += inverse.weight[i] * inverse.weight[j] * (1 if i == j else 2) * q
            drive[i] += inverse.weight[j] * q
            if i != j:
                drive[j] += inverse.weight[i] * q
    cross = np.zeros_like(scale)
    for weight, rate, driven in zip(inverse.weight, inverse.rate, drive, strict=True):
        cross += weight * geometric(rate, shifted(rate * gain * driven + gain * precision))
    return np.cumsum(2 * gain * cross + gain**2 * squares)
