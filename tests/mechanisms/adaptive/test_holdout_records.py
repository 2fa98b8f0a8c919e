"""Records of a holdout: what may be a set, digests, pickles, rows of a data frame or a sparse matrix."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from mechanisms.adaptive.holdout_records import HoldoutRecords, holdout_records


def test_digest_tells_records_apart_and_not_their_container(rng: np.random.Generator):
    X, y = rng.normal(size=(5, 2)), np.array(["a", "b", "a", "c", "a"])
    digest = HoldoutRecords("train", (X, y)).digest
    assert digest == HoldoutRecords("train", (X.copy(), y)).digest == HoldoutRecords("holdout", (pd.DataFrame(X), y)).digest
    other = X.copy()
    other[4, 1] = np.nextafter(other[4, 1], 9)
    assert digest != HoldoutRecords("train", (other, y)).digest
    assert digest != HoldoutRecords("train", (X, y[::-1])).digest
    assert HoldoutRecords("train", csr_matrix(X)).digest == HoldoutRecords("train", X).digest
    mixed = HoldoutRecords("train", pd.DataFrame({"age": [1, 2], "name": ["x", None]}))
    assert mixed.digest == pickle.loads(pickle.dumps(mixed)).digest


def test_objects_have_no_digest():
    with pytest.raises(TypeError, match="numbers and words"):
        _ = HoldoutRecords("train", np.array([object(), object()])).digest


def test_a_pickle_keeps_arrays_read_only():
    records = pickle.loads(pickle.dumps(HoldoutRecords("train", np.arange(3))))
    with pytest.raises(ValueError, match="read-only"):
        records.arrays[0][0] = 7
    assert (records.name, records.n) == ("train", 3)
    assert holdout_records("train", records) is records


def test_data_frames_are_copied():
    frame = pd.DataFrame({"age": [30.0, 40.0]})
    records = HoldoutRecords("holdout", (frame, frame["age"]))
    frame.loc[0, "age"] = 99.0
    seen = records.values(lambda X, y: X["age"] == y, (0.0, 1.0), clip=False)
    assert seen.tolist() == [1.0, 1.0]
    assert records.arrays[0].loc[0, "age"] == 30.0


def test_same_rows(rng: np.random.Generator):
    X, y = rng.normal(size=(4, 2)), np.array([0, 1, 0, 1])
    X[1, 1] = np.nan
    records = HoldoutRecords("train", (X, y))
    assert records.same_as(X.copy(), y)
    assert records.same_as(pd.DataFrame(X), pd.Series(y))
    assert not records.same_as(X[:3], y[:3])
    assert not records.same_as(X + 1, y)
    assert not records.same_as(X, 1 - y)
    assert not HoldoutRecords("train", X).same_as(X, y)
    words = HoldoutRecords("train", (pd.DataFrame({"a": ["x", None], "b": [1, np.nan]}), y[:2]))
    assert words.same_as(pd.DataFrame({"a": ["x", None], "b": [1, np.nan]}), y[:2])
