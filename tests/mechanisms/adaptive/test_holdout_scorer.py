"""Scores of estimators through a holdout: closed forms, scikit-learn's search, clones that share one budget, workers that share a file."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, KFold, PredefinedSplit
from sklearn.tree import DecisionTreeClassifier

from mechanisms.adaptive.holdout_scorer import reusable_holdout_scorer
from mechanisms.adaptive.holdout_scores import score_query
from mechanisms.adaptive.stored_holdout import SharedHoldout
from mechanisms.errors import BudgetExhaustedError
from tests.mechanisms.adaptive.holdouts import made, seeded

Rows = tuple[np.ndarray, np.ndarray]


def labeled(rng: np.random.Generator, n: int) -> Rows:
    X = rng.normal(size=(n, 3))
    return X, (X[:, 0] + rng.normal(size=n) > 0).astype(np.int64) * 2 + 1  # labels 1 and 3


def sets(rng: np.random.Generator, n: int = 400) -> tuple[Rows, Rows]:
    return labeled(rng, n), labeled(rng, n)


def split(train: Rows, holdout: Rows) -> tuple[np.ndarray, np.ndarray, PredefinedSplit]:
    X, y = (np.concatenate(pair) for pair in zip(train, holdout, strict=True))
    return X, y, PredefinedSplit(np.r_[np.full(len(train[1]), -1), np.zeros(len(holdout[1]), dtype=int)])


# --- scores ---


def test_named_scores_have_their_closed_forms(rng: np.random.Generator):
    train, (X, y) = sets(rng)
    model = LogisticRegression().fit(*train)
    p = model.predict_proba(X)[np.arange(len(y)), (y == 3).astype(int)]
    assert np.mean(score_query(model, "accuracy")(X, y)) == accuracy_score(y, model.predict(X))
    np.testing.assert_allclose(score_query(model, "probability")(X, y), p)
    np.testing.assert_allclose(score_query(model, "brier")(X, y), 1 - (1 - p) ** 2)
    unknown = np.full_like(y, 7)
    assert not score_query(model, "probability")(X, unknown).any()
    both = model.predict_proba(X)
    np.testing.assert_allclose(score_query(model, "brier")(X, unknown), 1 - ((both**2).sum(axis=1) + 1) / 2)


def test_scores_are_answers(rng: np.random.Generator):
    train, fresh = sets(rng)
    tree = DecisionTreeClassifier(random_state=0).fit(*train)  # knows the train rows by heart
    holdout = made(train, fresh, seeded(rng), budget=2, threshold=0.1, sigma=0.002)
    answer = holdout.score(tree)
    assert answer.fired
    assert answer.value == pytest.approx(tree.score(*fresh), abs=0.05)
    regression = LinearRegression().fit(*train)

    def closeness(estimator: LinearRegression, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        return -((estimator.predict(X) - y) ** 2)

    same = holdout.score(regression, closeness, bounds=(-9.0, 0.0), clip=True)
    assert not same.fired
    assert same.value == pytest.approx(np.maximum(closeness(regression, *train), -9).mean(), abs=1e-4)


def test_what_cannot_be_scored_is_refused(rng: np.random.Generator):
    train, fresh = sets(rng, 20)
    model = LinearRegression().fit(*train)
    with pytest.raises(TypeError, match="predict_proba"):
        made(train, fresh).score(model, "brier")
    with pytest.raises(ValueError, match="'accuracy'"):
        made(train, fresh).score(model, "roc_auc")
    with pytest.raises(ValueError, match="both as tuples"):
        made(train[0], fresh[0]).score(model)
    with pytest.raises(ValueError, match="scoring"):
        reusable_holdout_scorer(made(train, fresh), "f1")


# --- scikit-learn ---


def search(scorer: object, cv: PredefinedSplit | KFold, **options: object) -> GridSearchCV:
    grid = {"max_depth": [1, 2, None]}
    return GridSearchCV(
        DecisionTreeClassifier(random_state=0), grid, scoring=scorer, cv=cv, **{"refit": False, "error_score": "raise"} | options
    )


def test_grid_search_over_a_predefined_split(rng: np.random.Generator):
    train, fresh = sets(rng, 2000)
    holdout = made(train, fresh, seeded(rng), budget=5)
    X, y, cv = split(train, fresh)
    found = search(reusable_holdout_scorer(holdout), cv, return_train_score=True).fit(X, y)
    assert holdout.n_seen_ == 3  # train scores cost nothing
    assert found.cv_results_["mean_train_score"][2] == 1.0
    assert found.best_params_["max_depth"] in (1, 2)
    assert found.cv_results_["mean_test_score"][2] < 0.75
    assert holdout.remaining_ <= 4


def test_rows_that_are_not_the_holdout_are_refused(rng: np.random.Generator):
    train, fresh = sets(rng)
    holdout = made(train, fresh)
    X, y, _ = split(train, fresh)
    with pytest.raises(ValueError, match="PredefinedSplit"):
        search(reusable_holdout_scorer(holdout), KFold(3)).fit(X, y)
    assert holdout.n_seen_ == 0


def test_an_exhausted_budget_ends_the_search(rng: np.random.Generator):
    train, fresh = sets(rng)
    holdout = made(train, fresh, seeded(rng), budget=1, sigma=0.001, threshold=0.01)
    X, y, cv = split(train, fresh)
    with pytest.raises(BudgetExhaustedError):
        search(reusable_holdout_scorer(holdout), cv).set_params(param_grid={"max_depth": [None] * 3}).fit(X, y)
    assert holdout.remaining_ == 0


def test_clones_share_one_budget(rng: np.random.Generator):
    train, fresh = sets(rng)
    holdout = made(train, fresh, seeded(rng), budget=3, threshold=0.1)
    scorer = reusable_holdout_scorer(holdout)
    X, y, cv = split(train, fresh)
    first = search(scorer, cv)
    second = clone(first)
    assert second.scoring is copy.copy(scorer) is copy.deepcopy(scorer) is scorer
    before = holdout.n_seen_
    second.set_params(param_grid={"max_depth": [1]}).fit(X, y)
    assert holdout.n_seen_ == before + 1
    assert "ReusableHoldout(400 records" in repr(scorer)


def test_a_budget_in_memory_is_not_sent_to_other_processes(rng: np.random.Generator):
    train, fresh = sets(rng)
    with pytest.raises(TypeError, match="SharedHoldout"):
        pickle.dumps(reusable_holdout_scorer(made(train, fresh)))


def test_a_scorer_on_a_file_is_sent(rng: np.random.Generator, tmp_path: Path):
    train, fresh = sets(rng)
    scorer = reusable_holdout_scorer(SharedHoldout(tmp_path / "holdout.state", train, fresh, budget=3, threshold=0.5))
    model = DummyClassifier().fit(*train)
    sent = pickle.loads(pickle.dumps(scorer))
    assert sent(model, *fresh) == pytest.approx(model.score(*train))
    assert scorer(model, *train) == pytest.approx(model.score(*train))


@pytest.mark.slow
def test_workers_share_a_file(rng: np.random.Generator, tmp_path: Path):
    train, fresh = sets(rng)
    shared = SharedHoldout(tmp_path / "holdout.state", train, fresh, budget=3, sigma=0.001, threshold=0.1)
    X, y, cv = split(train, fresh)
    found = search(reusable_holdout_scorer(shared), cv, n_jobs=2).fit(X, y)
    assert found.best_params_["max_depth"] in (1, 2)
    assert shared.remaining_ <= 2
