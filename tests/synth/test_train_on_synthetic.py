"""Training on synthetic rows: what can be learned is found, what isn't there is not; bad targets are refused."""

from __future__ import annotations

import numpy as np
import pytest

from synth.classifier import class_probabilities
from synth.encode import encode
from synth.encoded import EncodedTable
from synth.schema import Categorical, Continuous, Datetime, Ordinal, Schema
from synth.train_on_synthetic import _measures, train_on_synthetic

SCHEMA = Schema(
    (
        Continuous("x", 0, 1, nullable=True),
        Ordinal("age", 0, 99),
        Categorical("color", ("red", "green", "blue"), nullable=True),
        Categorical("class", ("a", "b", "c"), nullable=True),
    )
)


def table(n: int, rng: np.random.Generator, *, linked: bool = True) -> dict[str, list[object]]:
    """Class c where x is missing, else b above 1/2, else a; one label in ten missing."""
    x = [None if rng.random() < 0.3 else float(rng.random()) for _ in range(n)]
    label = [None if rng.random() < 0.1 else "c" if value is None else "b" if value > 0.5 else "a" for value in x]
    if not linked:
        label = [label[k] for k in rng.permutation(n)]
    return {
        "x": x,
        "age": rng.integers(0, 100, n).tolist(),
        "color": [[None, "red", "green", "blue"][k] for k in rng.integers(0, 4, n)],
        "class": label,
    }


@pytest.mark.parametrize("model", ["boosting", "logistic"])
def test_a_link_is_learned_from_rows_that_have_it(model: str, rng: np.random.Generator) -> None:
    real, good, bad, holdout = table(400, rng), table(300, rng), table(300, rng, linked=False), table(300, rng)
    result = train_on_synthetic(real, good, schema=SCHEMA, target="class", holdout=holdout, model=model, rng=rng)
    assert [scores.trained_on for scores in result.scores] == ["real", "synthetic", "independent"]
    assert result.tested_on == "holdout"
    assert result.n_test == sum(label is not None for label in holdout["class"])
    assert result.of("real").n_rows == result.of("independent").n_rows == sum(label is not None for label in real["class"])
    assert result.of("real").auc > 0.97
    assert result.of("synthetic").auc > 0.97
    assert result.of("synthetic").f1 > 0.85
    assert result.of("independent").auc == 0.5
    assert result.of("independent").accuracy < 0.6
    unlinked = train_on_synthetic(real, bad, schema=SCHEMA, target="class", holdout=holdout, model=model, rng=rng)
    assert unlinked.of("synthetic").auc < result.of("synthetic").auc - 0.1
    assert unlinked.of("synthetic").f1 < 0.6


def test_the_split_leaves_test_rows_out(rng: np.random.Generator) -> None:
    real = encode({**table(200, rng), "class": ["a", "b"] * 100}, SCHEMA, positions=True)
    result = train_on_synthetic(real, real, schema=SCHEMA, target="class", test_share=0.25, model="logistic", rng=3)
    assert (result.n_test, result.of("real").n_rows, result.of("synthetic").n_rows) == (50, 150, 200)
    assert result.tested_on == "split"
    assert result == train_on_synthetic(real, real, schema=SCHEMA, target="class", test_share=0.25, model="logistic", rng=3)
    record = result.to_dict()
    assert record["private"] is False
    assert [scores["trained_on"] for scores in record["scores"]] == ["real", "synthetic", "independent"]


def test_independent_columns_leave_the_most_frequent_class(rng: np.random.Generator) -> None:
    real = {**table(100, rng), "class": ["a"] * 60 + ["c"] * 40}
    holdout = {**table(10, rng), "class": ["a"] * 3 + ["c"] * 7}
    result = train_on_synthetic(real, real, schema=SCHEMA, target="class", holdout=holdout, model="logistic", rng=rng)
    scores = result.of("independent")
    assert (scores.n_rows, scores.auc, scores.accuracy) == (100, 0.5, 0.3)
    assert scores.f1 == pytest.approx((2 * 3 / (10 + 3) + 0) / 2)


def test_measures_by_hand() -> None:
    truth = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1, 0.0], [0.4, 0.6, 0.0], [0.3, 0.7, 0.0], [0.2, 0.8, 0.0]])
    f1, auc, accuracy = _measures(truth, probabilities)  # guesses 0 1 1 1; class 2 occurs nowhere and counts nowhere
    assert f1 == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert auc == 1.0
    assert accuracy == 0.75
    assert _measures(truth, np.full((4, 3), 1 / 3))[1] == 0.5


def test_one_class_to_learn_from_gives_that_class(rng: np.random.Generator) -> None:
    constant = encode({**table(20, rng), "class": ["b"] * 20}, SCHEMA, positions=True)
    guessed = class_probabilities(constant, constant, SCHEMA, 3, model="boosting", rng=rng)
    assert guessed.tolist() == [[0.0, 1.0, 0.0]] * 20
    real = {**table(60, rng), "class": ["a", "b"] * 30}
    result = train_on_synthetic(real, constant, schema=SCHEMA, target="class", model="logistic", rng=rng)
    assert result.of("synthetic").auc == 0.5


def test_a_class_that_synthetic_rows_lack_gets_probability_zero(rng: np.random.Generator) -> None:
    two = encode({**table(60, rng), "class": ["a", "c"] * 30}, SCHEMA, positions=True)
    for model in ("boosting", "logistic"):
        guessed = class_probabilities(two, two, SCHEMA, 3, model=model, rng=rng)
        assert (guessed[:, 1] == 0).all()
        assert guessed.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("nothing", "target 'nothing' is not in the schema; its columns are 'x', 'age', 'color', 'class'"),
        ("x", "target 'x' must be a categorical or ordinal column with 2 to 20 values"),
        ("age", "target 'age' must be"),
    ],
)
def test_a_target_that_can_not_be_guessed_is_refused(target: str, words: str, rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=words):
        train_on_synthetic(table(9, rng), table(9, rng), schema=SCHEMA, target=target)


def test_too_few_rows_are_refused_without_a_value(rng: np.random.Generator) -> None:
    constant = {**table(30, rng), "class": ["b"] * 30}
    nothing = {**table(30, rng), "class": [None] * 30}
    for real, synthetic in ((constant, constant), (nothing, nothing), (table(30, rng), nothing)):
        with pytest.raises(ValueError, match="target 'class' needs rows to learn from, and two classes among the test rows") as caught:
            train_on_synthetic(real, synthetic, schema=SCHEMA, target="class", rng=rng)
        assert "'b'" not in str(caught.value)


def test_bad_settings_are_refused(rng: np.random.Generator) -> None:
    rows = table(30, rng)
    with pytest.raises(ValueError, match="model must be one of 'boosting', 'logistic'"):
        train_on_synthetic(rows, rows, schema=SCHEMA, target="class", model="forest")
    with pytest.raises(ValueError, match="test_share must be in"):
        train_on_synthetic(rows, rows, schema=SCHEMA, target="class", test_share=1.0)
    with pytest.raises(ValueError, match="positions=True"):
        train_on_synthetic(encode(rows, SCHEMA), rows, schema=SCHEMA, target="class")
    alone = Schema((Categorical("class", ("a", "b")),))
    with pytest.raises(ValueError, match="only column"):
        train_on_synthetic({"class": ["a", "b"]}, {"class": ["a", "b"]}, schema=alone, target="class")


def test_many_categories_and_times_are_features_too(rng: np.random.Generator) -> None:
    wide = Schema(
        (
            Categorical("city", tuple(f"c{k}" for k in range(300))),
            Datetime("when", "2024-01-01", "2024-12-31", nullable=True),
            Ordinal("grade", 1, 3),
        )
    )
    grades = np.tile(np.arange(1, 4), 40)
    codes = np.column_stack([rng.integers(0, 300, 120), rng.integers(0, 367, 120), grades - 1])
    encoded = EncodedTable(codes, np.zeros(codes.shape))
    for model in ("boosting", "logistic"):
        assert train_on_synthetic(encoded, encoded, schema=wide, target="grade", model=model, rng=rng).n_test == 36
