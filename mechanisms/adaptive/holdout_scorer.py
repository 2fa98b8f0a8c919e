"""A reusable holdout as a scorer for scikit-learn's `GridSearchCV` over a `PredefinedSplit` of the train and the holdout rows.

The search fits on the train rows and calls the scorer with the holdout rows; the scorer answers from the reusable holdout. It checks that
the rows are the holdout's: other rows, such as the folds of an ordinary cross-validation, are refused, and train rows
(`return_train_score`) get their plain score, which costs nothing. Copies and clones are the same scorer, so they share one budget. Sent to
other processes (`n_jobs` above 1) it must stand on a `SharedHoldout`; others refuse to be pickled.

Use `error_score="raise"`: otherwise the search turns the refusal of an exhausted budget into a nan with a warning. Use `refit=False`, and
fit the best parameters on the train rows: a refit would learn from the holdout.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from mechanisms.adaptive.holdout_question import HoldoutAnswer
from mechanisms.adaptive.holdout_records import Bounds, HoldoutRecords, Rows, valid_bounds
from mechanisms.adaptive.holdout_scores import Estimator, PerRecordScore, score_query, scoring_rule


class ScoringHoldout(Protocol):
    """A `ReusableHoldout`, `StoredHoldout` or `SharedHoldout`."""

    @property
    def train(self) -> HoldoutRecords:
        """The train records."""
        ...

    @property
    def holdout(self) -> HoldoutRecords:
        """The holdout records."""
        ...

    def score(self, estimator: Estimator, scoring: str | PerRecordScore, *, bounds: Bounds, clip: bool) -> HoldoutAnswer:
        """Answer with a score."""
        ...


class ReusableHoldoutScorer:
    """Called with an estimator and rows; made by `reusable_holdout_scorer`."""

    def __init__(self, holdout: ScoringHoldout, scoring: str | PerRecordScore, bounds: Bounds, clip: bool) -> None:
        self.holdout, self.scoring, self.bounds, self.clip = holdout, scoring, bounds, clip

    def __call__(self, estimator: Estimator, X: Rows, y: Rows) -> float:
        """Return the score.

        Raises
        ------
        BudgetExhaustedError : all firings are spent.
        ValueError : the rows are neither the holdout's nor the train set's, in their order.
        """
        if self.holdout.holdout.same_as(X, y):
            return self.holdout.score(estimator, self.scoring, bounds=self.bounds, clip=self.clip).value
        if self.holdout.train.same_as(X, y):
            return float(np.mean(np.asarray(score_query(estimator, self.scoring)(X, y), dtype=np.float64)))
        raise ValueError("X, y must be the rows of the holdout or of the train set, in their order; use a PredefinedSplit of the two")

    def __copy__(self) -> ReusableHoldoutScorer:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> ReusableHoldoutScorer:
        return self

    def __repr__(self) -> str:
        return f"ReusableHoldoutScorer({self.holdout!r}, {self.scoring!r})"


def reusable_holdout_scorer(
    holdout: ScoringHoldout, scoring: str | PerRecordScore = "accuracy", *, bounds: Bounds = (0.0, 1.0), clip: bool = False
) -> ReusableHoldoutScorer:
    """Return a scorer for `GridSearchCV(..., scoring=scorer, cv=PredefinedSplit(...), refit=False, error_score="raise")`.

    Parameters
    ----------
    holdout : a holdout whose sets are (X, y); a `SharedHoldout` for `n_jobs` above 1.
    scoring, bounds, clip : see `ReusableHoldout.score`; larger is better.

    Raises
    ------
    ValueError : bounds or scoring that no score can have.
    """
    scoring_rule(scoring)
    return ReusableHoldoutScorer(holdout, scoring, valid_bounds(bounds), clip)
