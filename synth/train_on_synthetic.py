"""Train on synthetic rows, test on real ones: is the table good enough to learn from? NOT private: tested on real rows.

One classifier for the target column is trained on real and on synthetic rows and tested on the same real rows:

    real          real rows                        what can be reached
    synthetic     the synthetic table              what is asked
    independent   the classes' shares, no rows     what is left where no column tells anything of another

The last is the limit of training on independent columns: the shares of the classes for every row, so AUC is 1/2 and the guess is the most
frequent class. Training on rows with shuffled columns would show noise around it: where a column tells the classes apart, a slope of
random sign gives an AUC near 0 or 1.

F1 and AUC are means over the classes that occur among the test rows (F1: macro; AUC: one class against the rest), so no class is "the
positive one". The classifier is scikit-learn's histogram gradient boosting on positions and codes, or logistic regression on positions and
one-hot codes, with its default settings: a comparison, not a contest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from mechanisms.json_ready import JsonValue, json_record
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import in_range, one_of
from synth.classifier import MODELS, class_probabilities
from synth.encoded import EncodedTable
from synth.open_counts import table_in_memory
from synth.schema import Categorical, Ordinal, Schema

if TYPE_CHECKING:
    from synth.open_counts import Countable

TrainedOn = Literal["real", "synthetic", "independent"]
MOST_CLASSES = 20
Classes = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class ModelScores:
    """How well one classifier did on the test rows.

    Parameters
    ----------
    trained_on : "real", "synthetic" or "independent".
    n_rows : that it was trained on; of "independent", those whose shares it knows.
    f1 : mean over classes.
    auc : mean over classes, each against the rest.
    accuracy : share of test rows guessed right.
    """

    trained_on: TrainedOn
    n_rows: int
    f1: float
    auc: float
    accuracy: float

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record({name: getattr(self, name) for name in ("trained_on", "n_rows", "f1", "auc", "accuracy")})


@dataclass(frozen=True, slots=True)
class TrainOnSynthetic:
    """The three classifiers of one target; not private.

    Parameters
    ----------
    target : the column that is guessed.
    model : "boosting" or "logistic".
    tested_on : "holdout": rows that the synthetic table was not made from; "split": a part of the real table, which it was made from, so
        its scores may be a little too good.
    n_test : test rows.
    scores : of real, synthetic and independent rows.
    """

    target: str
    model: str
    tested_on: Literal["holdout", "split"]
    n_test: int
    scores: tuple[ModelScores, ...]

    def of(self, trained_on: TrainedOn) -> ModelScores:
        """Return the scores of the classifier that was trained on these rows."""
        return next(scores for scores in self.scores if scores.trained_on == trained_on)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        own = {name: getattr(self, name) for name in ("target", "model", "tested_on", "n_test", "scores")}
        return json_record({"schema_version": 1, **own, "private": False})


def train_on_synthetic(
    real: Countable,
    synthetic: Countable,
    *,
    schema: Schema,
    target: str,
    holdout: Countable | None = None,
    model: str = "boosting",
    test_share: float = 0.3,
    rng: RngLike = None,
) -> TrainOnSynthetic:
    """Train on real and on synthetic rows, and on none; test on real ones.

    Parameters
    ----------
    real, synthetic : tables in memory, or files; encoded ones need positions where the schema has numbers.
    schema : of their columns.
    target : name of a categorical or ordinal column with 2 to 20 values; rows where it is missing are left out.
    holdout : real rows that the synthetic table was not made from, for the test. None: `test_share` of the real rows, drawn at random.
    model : "boosting" or "logistic".
    test_share : in (0, 1); used without a holdout.
    rng : draws the split and the classifiers' seeds.

    Raises
    ------
    ValueError, TypeError : a target that can't be guessed, too few rows of it, tables that don't fit the schema.

    Examples
    --------
    >>> schema = Schema((Ordinal("x", 0, 9), Categorical("high", (False, True))))
    >>> table = {"x": list(range(10)) * 20, "high": [x > 4 for x in range(10)] * 20}
    >>> result = train_on_synthetic(table, table, schema=schema, target="high", model="logistic", rng=7)
    >>> result.of("synthetic").auc, result.of("synthetic").n_rows, result.n_test
    (1.0, 200, 60)
    """
    place = _target_place(schema, target)
    one_of(MODELS, model=model)
    in_range(0, 1, test_share=test_share)
    rng = as_generator(rng)
    rows, made = (_labelled(table, schema, place) for table in (real, synthetic))
    if holdout is None:
        train, test = _split(rows, test_share, rng)
    else:
        train, test = rows, _labelled(holdout, schema, place)
    truth = _classes(test, schema, place)
    if not len(train.codes) or not len(made.codes) or len(np.unique(truth)) < 2:
        raise ValueError(f"target {target!r} needs rows to learn from, and two classes among the test rows; take more rows or another one")
    scores = []
    sources: tuple[tuple[TrainedOn, EncodedTable], ...] = (("real", train), ("synthetic", made))
    for name, table in sources:
        guessed = class_probabilities(table, test, schema, place, model=model, rng=rng)
        scores.append(ModelScores(name, table.n_rows, *_measures(truth, guessed)))
    shares = np.bincount(_classes(train, schema, place), minlength=schema.columns[place].n_values) / train.n_rows
    scores.append(ModelScores("independent", train.n_rows, *_measures(truth, np.tile(shares, (test.n_rows, 1)))))
    return TrainOnSynthetic(target, model, "split" if holdout is None else "holdout", test.n_rows, tuple(scores))


def _target_place(schema: Schema, target: str) -> int:
    if target not in schema.names:
        raise ValueError(f"target {target!r} is not in the schema; its columns are {', '.join(map(repr, schema.names))}")
    place = schema.names.index(target)
    column = schema.columns[place]
    if not isinstance(column, Categorical | Ordinal) or not 2 <= column.n_values <= MOST_CLASSES:
        raise ValueError(f"target {target!r} must be a categorical or ordinal column with 2 to {MOST_CLASSES} values; take another one")
    if len(schema) < 2:
        raise ValueError(f"target {target!r} is the only column; there is nothing to guess it from")
    return place


def _labelled(table: Countable, schema: Schema, place: int) -> EncodedTable:
    """Return the rows whose target is there, with positions where the schema has numbers."""
    encoded = table_in_memory(table, schema, positions=True)
    if encoded.positions is None:
        if any(column.kind != "categorical" for column in schema):
            raise ValueError("encoded tables need positions here; encode them with positions=True")
        encoded = EncodedTable(encoded.codes, np.zeros(encoded.codes.shape))
    if not schema.columns[place].nullable:
        return encoded
    return _rows(encoded, np.flatnonzero(encoded.codes[:, place] > 0))


def _rows(table: EncodedTable, places: NDArray[np.intp]) -> EncodedTable:
    assert table.positions is not None  # `_labelled` saw to it
    return EncodedTable(table.codes[places], table.positions[places])


def _split(table: EncodedTable, test_share: float, rng: np.random.Generator) -> tuple[EncodedTable, EncodedTable]:
    order = rng.permutation(table.n_rows)
    n_test = round(test_share * table.n_rows)
    return _rows(table, order[n_test:]), _rows(table, order[:n_test])


def _classes(table: EncodedTable, schema: Schema, place: int) -> Classes:
    return (table.codes[:, place] - schema.columns[place].nullable).astype(np.intp)


def _measures(truth: Classes, probabilities: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return F1, AUC and accuracy."""
    from sklearn.metrics import f1_score, roc_auc_score

    present = np.unique(truth)
    guess = probabilities.argmax(axis=1)
    f1 = f1_score(truth, guess, labels=present, average="macro", zero_division=0.0)
    areas = [roc_auc_score(truth == label, probabilities[:, label]) for label in present]
    return float(f1), float(np.mean(areas)), float(np.mean(guess == truth))
