"""Bought categories: what many rows have, nothing that one row decides but with probability delta; broken twins are caught."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from attacks.scores import AttackCounts
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import NoiseSource, SeededNoise
from privacy_audit.estimate.lower_bound import epsilon_lower_bound
from synth.domain import categories
from synth.domain.buy import BoughtDomain, buy_domain
from synth.domain.categories import chosen_places
from synth.domain.noisy_histogram import NoisyHistogram, stability_threshold
from synth.domain.open_schema import BuyCategories, OpenSchema
from synth.encode import encode
from synth.schema import Categorical
from tests.synth.domain.fixed_columns import FixedColumns, Silent

ADD, REPLACE = Neighboring.ADD_REMOVE, Neighboring.REPLACE
pytestmark = pytest.mark.filterwarnings("ignore::mechanisms.errors.InsecureNoiseWarning")
CITIES = ["Bern"] * 900 + ["Basel"] * 700 + [f"village {i}" for i in range(60)]


def bought(values: object, noise: NoiseSource, **options: object) -> Categorical:
    schema = OpenSchema((BuyCategories("city", **options),))  # type: ignore[arg-type]
    (column,) = buy_domain({"city": values}, schema, rho=0.1, delta=1e-9, neighboring=REPLACE, noise=noise).schema
    assert isinstance(column, Categorical)
    return column


def test_frequent_labels_are_kept_and_rare_ones_are_other(rng: np.random.Generator):
    """sigma is 3.2 and the threshold 21: a false alarm needs 6 standard deviations in one of 62 draws, 1e-7."""
    noise = SeededNoise(int(rng.integers(2**32)))
    column = bought(CITIES, noise)
    assert column == Categorical("city", ("Basel", "Bern"), other="other")
    schema = OpenSchema((BuyCategories("city"),)).close({"city": column})
    assert np.bincount(encode({"city": CITIES}, schema).codes[:, 0]).tolist() == [700, 900, 60]
    assert bought([*CITIES, None], noise, nullable=True, max_categories=1) == Categorical("city", ("Bern",), other="other", nullable=True)
    assert bought(CITIES, noise, other="Bern") == Categorical("city", ("Basel",), other="Bern")
    assert bought([f"village {i}" for i in range(60)], noise) == Categorical("city", ("other",), other="other")
    assert bought([None, None], noise, nullable=True).labels == ("other",)


def test_whole_numbers(rng: np.random.Generator):
    noise = SeededNoise(int(rng.integers(2**32)))
    codes = np.array([7.0] * 300 + [-2.0] * 200 + [2.5] * 400 + [1e300] * 400 + [np.nan])
    assert bought(codes, noise, other=-1, nullable=True) == Categorical("city", (-2, 7), other=-1, nullable=True)
    assert bought(np.repeat([3, 9], 100), noise, other=0).categories == (3, 9)


def test_a_column_of_another_type_is_refused_by_name():
    with pytest.raises(ValueError, match="column 'city' holds int64; its `other` label is of text") as caught:
        bought([4711, 4711], Silent(0))
    assert "4711" not in str(caught.value)
    with pytest.raises(ValueError, match="its `other` label is of whole numbers"):
        bought(CITIES, Silent(0), other=0)


def test_largest_counts_are_kept_in_the_order_of_labels():
    answer = NoisyHistogram([50, 90, 50, 80, 3], 2.0)
    assert chosen_places(answer, 2, 1e-6).tolist() == [1, 3]
    assert chosen_places(answer, 3, 1e-6).tolist() == [0, 1, 3]
    assert chosen_places(answer, 9, 1e-6).tolist() == [0, 1, 2, 3]


def test_counts_of_rejected_labels_are_not_kept(rng: np.random.Generator):
    schema = OpenSchema((BuyCategories("city", max_categories=1),))
    noise = SeededNoise(int(rng.integers(2**32)))
    bought = buy_domain({"city": CITIES}, schema, rho=0.1, delta=1e-9, neighboring=ADD, noise=noise)
    (answer,) = bought.purchases[0].answers
    assert len(answer.counts) == 1
    assert "village" not in str(bought.to_dict())


def many(labels: dict[str | int, int], n: int, noise: NoiseSource, *, neighboring: Neighboring, delta: float) -> BoughtDomain:
    schema = OpenSchema(tuple(BuyCategories(f"c{i}") for i in range(n)))
    return buy_domain(FixedColumns(labels=labels), schema, rho=n * 0.02, delta=n * delta, neighboring=neighboring, noise=noise)


@pytest.mark.parametrize("neighboring", [ADD, REPLACE])
def test_one_row_shows_with_probability_delta_at_most(neighboring: Neighboring, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch):
    """600 purchases at delta = 1.5e-3 each, sum 0.9: at most the (1 - 1e-6)-quantile show it. A lower threshold and no noise are caught."""
    n, delta = 600, 1.5e-3
    labels: dict[str | int, int] = {"common": 1000, "secret": 1}

    def shown(noise: NoiseSource) -> int:
        bought = many(labels, n, noise, neighboring=neighboring, delta=delta)
        return sum(column.labels != ("common", "other") for column in bought.schema)  # type: ignore[union-attr]

    allowed = stats.binom.isf(1e-6, n, delta)
    seed = int(rng.integers(2**32))
    assert shown(SeededNoise(seed)) <= allowed
    monkeypatch.setattr(categories, "stability_threshold", lambda sigma, delta: stability_threshold(sigma, delta) - 1.5 * sigma)
    assert shown(SeededNoise(seed)) > allowed


def test_a_threshold_without_noise_is_caught(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch):
    """Guess "the row is there" where the label shows: the twin that counts exactly and keeps what is above 20 leaks everything.

    The real purchase's bound is above its claim (2, 0.01) with probability 1e-6 at most.
    """
    n, epsilon, delta = 300, 2.0, 0.01

    def bound(make: type[SeededNoise]) -> float:
        shown = []
        for count, seed in ((20, 1), (21, 2)):
            noise = make(int(rng.integers(2**32)) + seed)
            found = many({"common": 1000, "x": count}, n, noise, neighboring=ADD, delta=1e-3).schema
            shown += ["x" in column.labels for column in found]  # type: ignore[union-attr]
        counts = AttackCounts.from_predictions(np.arange(2 * n) >= n, np.array(shown))
        return epsilon_lower_bound(counts, delta=delta, level=1 - 1e-6).epsilon

    assert bound(SeededNoise) <= epsilon
    monkeypatch.setattr(categories, "stability_threshold", lambda sigma, delta: 20)
    assert bound(SeededNoise) <= epsilon  # noise alone protects a label that both tables have
    assert bound(Silent) > epsilon
