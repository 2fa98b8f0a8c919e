"""One noisy histogram: its scale, its ledger, and thresholds against exact tails."""

from __future__ import annotations

import copy
import json
import math
import pickle

import numpy as np
import pytest
from scipy import stats

from attacks.scores import AttackCounts
from mechanisms.accounting.gaussian import gaussian_mu
from mechanisms.accounting.ledger import Ledger
from mechanisms.errors import BudgetExhaustedError
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import NoiseSource, SeededNoise
from privacy_audit.estimate.lower_bound import epsilon_lower_bound
from synth.domain.noisy_histogram import NoisyHistogram, false_bin_threshold, histogram_sigma, noisy_histogram, stability_threshold
from tests.synth.naive_source import HalvedNoise, NoNoise

ADD, REPLACE = Neighboring.ADD_REMOVE, Neighboring.REPLACE


def exact_tail(t: int, sigma: float) -> float:
    """P(X >= t) of the discrete Gaussian, term by term."""
    x = np.arange(-int(40 * sigma) - 2, int(40 * sigma) + 3)
    weight = np.exp(-(x**2) / (2 * sigma**2))
    return float(weight[x >= t].sum() / weight.sum())


@pytest.mark.parametrize("sigma", [0.2, 0.5, 1.0, 3.3, 17.0, 120.0])
@pytest.mark.parametrize("p", [0.3, 0.05, 1e-3, 1e-6, 1e-10])
def test_thresholds_against_exact_tails(sigma: float, p: float):
    """They keep their promise, and are at most 2 counts larger than need be."""
    for t, n_cells in ((false_bin_threshold(sigma, 1, p), 1), (false_bin_threshold(sigma, 40, p), 40)):
        assert n_cells * exact_tail(t + 1, sigma) <= p
        assert t < 2 or n_cells * exact_tail(t - 1, sigma) > p
    t = stability_threshold(sigma, p)
    assert exact_tail(t, sigma) <= p  # 1 + X > t
    assert t < 3 or exact_tail(t - 2, sigma) > p


def test_largest_noise_has_a_threshold():
    assert false_bin_threshold(2.0**40, 10, 0.01) == pytest.approx(2.0**40 * stats.norm.isf(0.001), rel=1e-9)


@pytest.mark.filterwarnings("ignore::mechanisms.errors.InsecureNoiseWarning")
@pytest.mark.parametrize(("neighboring", "D"), [(ADD, 1.0), (REPLACE, math.sqrt(2))])
def test_noise_and_ledger(neighboring: Neighboring, D: float, rng: np.random.Generator):
    """Empirical over stated scale in [0.985, 1.015], 200,000 cells: 9 standard deviations, false alarm below 1e-18."""
    ledger, seed = Ledger(0.02), int(rng.integers(2**32))

    def ratio(noise: NoiseSource) -> float:
        zeros = np.zeros(200_000, dtype=np.int64)
        answer = noisy_histogram("x", zeros, rho=0.01, neighboring=neighboring, noise=noise, ledger=ledger)
        assert answer.sigma == pytest.approx(D / math.sqrt(0.02)) == pytest.approx(histogram_sigma(0.01, neighboring))
        return float(np.sqrt((answer.counts.astype(float) ** 2).mean())) / answer.sigma

    assert 0.985 < ratio(SeededNoise(seed)) < 1.015
    assert not 0.985 < ratio(HalvedNoise(seed)) < 1.015
    assert [entry.rho for entry in ledger.entries] == pytest.approx([0.01, 0.01])
    assert ledger.spent <= 0.02
    with pytest.raises(BudgetExhaustedError, match="x costs rho"):
        noisy_histogram("x", np.zeros(1, dtype=np.int64), rho=0.01, neighboring=neighboring, noise=NoNoise(), ledger=ledger)


@pytest.mark.filterwarnings("ignore::mechanisms.errors.InsecureNoiseWarning")
@pytest.mark.parametrize("neighboring", [ADD, REPLACE])
def test_audit(neighboring: Neighboring, rng: np.random.Generator):
    """A likelihood-ratio attack on one row's cells, n runs at once; halved noise is caught. False alarm 1e-6.

    Each run has the cell that the row leaves and the one where it arrives (replacement), or one cell (add/remove); rows beside it add 50.
    """
    n, epsilon, delta = 20_000, 1.0, 0.01
    mu, seed, n_cells = gaussian_mu(epsilon, delta), int(rng.integers(2**32)), 2 if neighboring is REPLACE else 1

    def scores(here: int, noise: NoiseSource) -> np.ndarray:
        """Of unit variance if the noise is right; means differ by mu."""
        counts = np.tile([50 + here, 51 - here][:n_cells], n)
        answer = noisy_histogram("x", counts, rho=mu**2 / 2, neighboring=neighboring, noise=noise, ledger=Ledger(mu**2))
        ends = answer.counts.reshape(n, n_cells) - np.array([50, 51])[:n_cells]
        return (ends[:, 0] - ends[:, 1:].sum(axis=1)) / (answer.sigma * math.sqrt(n_cells))

    def bound(noise: NoiseSource, sd: float) -> float:
        guesses = np.concatenate([scores(0, noise), scores(1, noise)]) >= 1.9 * sd
        return epsilon_lower_bound(AttackCounts.from_predictions(np.arange(2 * n) >= n, guesses), delta=delta, level=1 - 1e-6).epsilon

    assert 0.2 < bound(SeededNoise(seed), 1.0) <= epsilon  # not for want of power
    assert bound(HalvedNoise(seed), 0.5) > epsilon


def test_record():
    counts = np.arange(3)
    answer = NoisyHistogram(counts, 2.0)
    counts[0] = 9
    for kept in (answer, copy.deepcopy(answer), pickle.loads(pickle.dumps(answer))):
        assert kept.equals(NoisyHistogram([0, 1, 2], 2.0))
        assert not kept.counts.flags.writeable
    assert not answer.equals(NoisyHistogram([0, 1, 3], 2.0))
    assert json.loads(json.dumps(answer.to_dict())) == {"counts": [0, 1, 2], "sigma": 2.0}
    with pytest.raises(ValueError, match="sigma must be positive"):
        NoisyHistogram([1], 0.0)


def test_zero_out_is_refused():
    with pytest.raises(ValueError, match="zero_out"):
        histogram_sigma(1.0, Neighboring.ZERO_OUT)
