"""Scores of an estimator as queries to a holdout: the mean over records of a bounded score of each record.

    accuracy       1 where the prediction is the label
    probability    predicted probability of the label
    brier          1 - sum over classes of (p_c - [c is the label])^2 / 2

Larger is better; all are in [0, 1]. Scores that are no means of single records' scores (area under the curve, R^2, F1) have no bounded
sensitivity here and are not offered. Estimators are anything with `predict` or with `predict_proba` and `classes_`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.adaptive.holdout_records import HoldoutQuery, Rows
from mechanisms.validation import one_of


class Estimator(Protocol):
    """A fitted classifier or regressor, in the manner of scikit-learn."""

    def predict(self, X: Rows, /) -> ArrayLike:
        """Return one prediction a row."""
        ...


PerRecordScore: TypeAlias = Callable[[Estimator, Rows, Rows], ArrayLike]


def score_query(estimator: Estimator, scoring: str | PerRecordScore) -> HoldoutQuery:
    """Return the query whose mean is the score.

    Parameters
    ----------
    estimator : fitted.
    scoring : "accuracy", "probability", "brier", or a function of estimator, X and y that returns one score a record.

    Raises
    ------
    ValueError : another word.
    """
    rule = scoring_rule(scoring)

    def scores(*arrays: Rows) -> ArrayLike:
        if len(arrays) != 2:
            raise ValueError("train and holdout must be (X, y) to score an estimator; give both as tuples")
        return rule(estimator, *arrays)

    return scores


def scoring_rule(scoring: str | PerRecordScore) -> PerRecordScore:
    """Return the function of a name, a function as it is; ValueError for another name."""
    return scoring if callable(scoring) else _NAMED[one_of(tuple(_NAMED), scoring=scoring)]


def _accuracy(estimator: Estimator, X: Rows, y: Rows) -> NDArray[np.bool_]:
    return np.asarray(np.asarray(estimator.predict(X)) == np.asarray(y), dtype=np.bool_)


def _probability(estimator: Estimator, X: Rows, y: Rows) -> NDArray[np.float64]:
    probability, is_label = _class_probabilities(estimator, X, y)
    return np.asarray((probability * is_label).sum(axis=1), dtype=np.float64)


def _brier(estimator: Estimator, X: Rows, y: Rows) -> NDArray[np.float64]:
    probability, is_label = _class_probabilities(estimator, X, y)
    unknown = ~is_label.any(axis=1)  # a label that the estimator has never seen is a class of probability 0
    return np.asarray(1 - (((probability - is_label) ** 2).sum(axis=1) + unknown) / 2, dtype=np.float64)


def _class_probabilities(estimator: Estimator, X: Rows, y: Rows) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return p (n, classes) and whether each class is the label."""
    predict, classes = getattr(estimator, "predict_proba", None), getattr(estimator, "classes_", None)
    if not callable(predict) or classes is None:
        raise TypeError(f"estimator must have predict_proba and classes_ for this score, got {type(estimator).__name__}; or use 'accuracy'")
    probability = np.clip(np.asarray(predict(X), dtype=np.float64), 0.0, 1.0)
    return probability, np.asarray(y)[:, None] == np.asarray(classes)[None, :]


_NAMED: dict[str, PerRecordScore] = {"accuracy": _accuracy, "probability": _probability, "brier": _brier}
