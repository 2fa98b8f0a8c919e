"""A classifier of one column of an encoded table from all the others, with scikit-learn's default settings.

boosting   histogram gradient boosting; numbers by their position (missing is a value of its own), categories as categories
logistic   logistic regression; numbers by their position beside a sign for "missing", categories one-hot
A table that holds one class only gives that class probability 1 for every row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synth.encoded import EncodedTable
from synth.schema import Categorical, Schema

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MODELS = ("boosting", "logistic")
_MOST_CATEGORIES = 255  # of scikit-learn's histograms; larger columns enter as numbers
_MAX_ITER = 5000

Floats = NDArray[np.float64]


def class_probabilities(
    train: EncodedTable, test: EncodedTable, schema: Schema, target: int, *, model: str, rng: np.random.Generator
) -> Floats:
    """Return the probability of each class for the test rows, shape (n_test, values of the target column).

    Parameters
    ----------
    train, test : encoded with positions; the target is nowhere missing.
    schema : of both.
    target : place of the column that is guessed.
    model : "boosting" or "logistic".
    rng : gives the classifier its seed.
    """
    column = schema.columns[target]
    labels = train.codes[:, target] - column.nullable
    found = np.unique(labels)
    probabilities = np.zeros((test.n_rows, column.n_values))
    if len(found) == 1:
        probabilities[:, found[0]] = 1.0
        return probabilities
    seed = int(rng.integers(2**31))
    fit = _boosting if model == "boosting" else _logistic
    probabilities[:, found] = fit(train, test, labels, schema, target, seed)
    return probabilities


def _boosting(train: EncodedTable, test: EncodedTable, labels: NDArray[np.int32], schema: Schema, target: int, seed: int) -> Floats:
    from sklearn.ensemble import HistGradientBoostingClassifier

    categorical = [
        isinstance(column, Categorical) and column.size <= _MOST_CATEGORIES for place, column in enumerate(schema) if place != target
    ]
    classifier = HistGradientBoostingClassifier(categorical_features=categorical, early_stopping=False, random_state=seed)
    classifier.fit(_dense(train, schema, target), labels)
    return np.asarray(classifier.predict_proba(_dense(test, schema, target)), dtype=np.float64)


def _logistic(train: EncodedTable, test: EncodedTable, labels: NDArray[np.int32], schema: Schema, target: int, seed: int) -> Floats:
    from sklearn.linear_model import LogisticRegression

    classifier = LogisticRegression(max_iter=_MAX_ITER, random_state=seed)
    classifier.fit(_one_hot(train, schema, target), labels)
    return np.asarray(classifier.predict_proba(_one_hot(test, schema, target)), dtype=np.float64)


def _dense(table: EncodedTable, schema: Schema, target: int) -> Floats:
    """Return codes of categories and positions of numbers, NaN where a number is missing; shape (n, d - 1)."""
    assert table.positions is not None  # the caller saw to it
    features = [
        table.codes[:, place].astype(np.float64)
        if isinstance(column, Categorical)
        else np.where(column.nullable & (table.codes[:, place] == 0), np.nan, table.positions[:, place])
        for place, column in enumerate(schema)
        if place != target
    ]
    return np.column_stack(features)


def _one_hot(table: EncodedTable, schema: Schema, target: int) -> csr_matrix:
    from scipy import sparse

    assert table.positions is not None  # the caller saw to it
    blocks = []
    for place, column in enumerate(schema):
        if place == target:
            continue
        codes = table.codes[:, place]
        if isinstance(column, Categorical):
            blocks.append(sparse.csr_matrix((np.ones(len(codes)), codes, np.arange(len(codes) + 1)), shape=(len(codes), column.size)))
        else:
            features = [table.positions[:, place], *([codes == 0] if column.nullable else [])]
            blocks.append(sparse.csr_matrix(np.column_stack(features)))
    return sparse.hstack(blocks, format="csr")
