"""Poisson batches: counts, independence, padding; a fixed-size sampler must be caught."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, chi2, norm

from attacks.shadow.batches import Batch, poisson_batches
from attacks.shadow.streams import model_streams

ALARM = 1e-6  # of each p-value here, under any seed


def inclusions(batches: Iterator[Batch], n_records: int, k: int = 0) -> NDArray[np.int64]:
    """(steps, records) how often each record stood in model k's batch."""
    rows = []
    for batch in batches:
        real = batch.index[k][batch.weight[k] > 0].numpy()
        rows.append(np.bincount(real, minlength=n_records))
    return np.array(rows)


def fixed_size(included: NDArray[np.int64], rate: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """The broken twin: every batch has the same number of records."""
    broken = np.zeros_like(included)
    n = included.shape[1]
    for row in broken:
        row[rng.choice(n, round(rate * n), replace=False)] = 1
    return broken


def p_of_batch_sizes(included: NDArray[np.int64], rate: float) -> float:
    steps, n = included.shape
    statistic = float(((included.sum(axis=1) - n * rate) ** 2).sum() / (n * rate * (1 - rate)))
    return 2 * min(chi2.cdf(statistic, steps), chi2.sf(statistic, steps))


def p_of_total(included: NDArray[np.int64], rate: float) -> float:
    total, n = int(included.sum()), included.size
    return min(1.0, 2 * min(binom.cdf(total, n, rate), binom.sf(total - 1, n, rate)))


def p_of_next_step(included: NDArray[np.int64], rate: float) -> float:
    """Correlation of a record's coin with its next one."""
    centered = included - rate
    z = (centered[1:] * centered[:-1]).sum() / (rate * (1 - rate) * np.sqrt(centered[1:].size))
    return float(2 * norm.sf(abs(z)))


def test_batches_are_independent_coins(rng):
    rate, steps, n = 0.1, 400, 300
    coins = [np.random.default_rng(rng.integers(2**32)) for _ in range(2)]
    member = np.ones((2, n), dtype=bool)
    included = inclusions(poisson_batches(member, coins, sample_rate=rate, steps=steps), n)
    assert included.max() == 1
    for p_value in (p_of_batch_sizes, p_of_total, p_of_next_step):
        assert p_value(included, rate) > ALARM
    assert p_of_batch_sizes(fixed_size(included, rate, rng), rate) < ALARM
    assert p_of_total(inclusions(poisson_batches(member[:1], coins[:1], sample_rate=0.13, steps=steps), n), rate) < ALARM


def test_only_members_are_drawn_and_padding_has_weight_zero(rng):
    member = rng.random((3, 40)) < [[0.9], [0.5], [0.0]]
    coins = [np.random.default_rng(k) for k in range(3)]
    for batch in poisson_batches(member, coins, sample_rate=0.3, steps=20):
        assert batch.index.shape == batch.weight.shape == (3, batch.n_rows)
        count = batch.weight.sum(dim=1)
        assert count.max() == batch.n_rows
        assert count[2] == 0
        for k in range(3):
            real = batch.index[k][batch.weight[k] > 0].numpy()
            assert member[k][real].all()
            assert len(set(real)) == len(real) == count[k]


def test_rate_one_takes_every_member():
    member = np.array([[True, False, True]])
    (batch,) = poisson_batches(member, [np.random.default_rng(0)], sample_rate=1.0, steps=1)
    assert batch.index.tolist() == [[0, 2]]


def test_no_record_at_all_is_an_empty_batch():
    batches = list(poisson_batches(np.zeros((2, 3), dtype=bool), [np.random.default_rng(k) for k in range(2)], sample_rate=0.5, steps=3))
    assert [batch.n_rows for batch in batches] == [0, 0, 0]


@pytest.mark.parametrize("n", [50, 400_000])  # the second is drawn a few steps at a time
def test_a_models_batches_do_not_depend_on_its_neighbors(n, rng):
    member = rng.random((3, n)) < 0.5
    together = list(poisson_batches(member, [model_streams(1, k).coins for k in range(3)], sample_rate=1e-4 if n > 50 else 0.2, steps=8))
    for k in range(3):
        alone = poisson_batches(member[k : k + 1], [model_streams(1, k).coins], sample_rate=1e-4 if n > 50 else 0.2, steps=8)
        for one, many in zip(alone, together, strict=True):
            assert one.index[0].tolist() == many.index[k][many.weight[k] > 0].tolist()


def test_coins_are_drawn_for_members_only(rng):
    """A large pool costs a model nothing: its stream moves on by one draw per step and member."""
    member = np.zeros((1, 20_000), dtype=bool)
    member[0, rng.choice(20_000, 1_000, replace=False)] = True
    drawn, same = np.random.default_rng(1), np.random.default_rng(1)
    assert len(list(poisson_batches(member, [drawn], sample_rate=0.1, steps=7))) == 7
    same.random(7 * 1_000)
    assert drawn.random() == same.random()
