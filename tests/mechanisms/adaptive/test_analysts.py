"""Intervals against analysts that overfit on purpose, and two twins that they catch."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.adaptive_analysts import ANALYSTS, CoinSample
from experiments.e_adaptive_queries import plain_width
from mechanisms.adaptive.answer import Answer
from mechanisms.adaptive.gaussian_answers import gaussian_width
from mechanisms.adaptive.query import StatisticalQuery, query_values
from mechanisms.adaptive.query_answerer import StatisticalQueryAnswerer
from mechanisms.adaptive.tail_mean import normal_tail_mean
from mechanisms.noise.source import SeededNoise

pytestmark = [
    pytest.mark.filterwarnings("ignore::mechanisms.errors.InsecureNoiseWarning"),
    pytest.mark.filterwarnings("ignore::mechanisms.errors.WeakEvidenceWarning"),
]


@pytest.mark.parametrize("analyst", ANALYSTS)
@pytest.mark.parametrize("method", ["gaussian", "laplace", "split", "guess_and_check"])
def test_intervals_hold_against_analysts_that_overfit(analyst: str, method: str, rng: np.random.Generator):
    """False alarm 2e-8: more than 7 of 12 runs miss with probability at most 0.05 each."""
    missed = 0
    for child in rng.spawn(12):
        sample = CoinSample(500, rng=child)
        noise = SeededNoise(int(child.integers(2**31)))
        answerer = StatisticalQueryAnswerer(sample.records, max_queries=50, method=method, noise=noise)
        missed += not ANALYSTS[analyst](sample, answerer.answer, 50).covered
    assert missed <= 7


@pytest.mark.parametrize("analyst", ANALYSTS)
def test_the_plain_sample_is_caught(analyst: str, rng: np.random.Generator):
    """The negative control: no noise, and intervals that hold for as many queries fixed in advance."""
    missed = 0
    for child in rng.spawn(12):
        sample = CoinSample(500, rng=child)
        missed += not ANALYSTS[analyst](sample, lambda query, sample=sample: plain(sample, query, 300), 300).covered
    assert missed == 12


def test_intervals_for_the_noise_alone_are_caught(rng: np.random.Generator):
    """A twin without the posterior gap: the vote of 1,500 coins is off by more than noise explains."""
    sample, sigma, k = CoinSample(500, rng=rng), 0.02, 1_500
    width = sigma * normal_tail_mean(0.05 / (2 * k))

    def noisy(query: StatisticalQuery) -> Answer:
        value = float(query_values(query, sample.records).mean()) + sigma * float(rng.standard_normal())
        return Answer(value, value - width, value + width, 500, 0.0)

    assert not ANALYSTS["sign vote"](sample, noisy, k).covered
    assert gaussian_width(500, k, k / (2 * (500 * sigma) ** 2), 0.05) > 0.5  # what the theorem promises there


def plain(sample: CoinSample, query: StatisticalQuery, k: int) -> Answer:
    value, width = float(query_values(query, sample.records).mean()), plain_width(sample.records.size, k)
    return Answer(value, value - width, value + width, sample.records.size, 0.0)
