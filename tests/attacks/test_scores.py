"""The records of evidence: what they refuse, what they keep, that nothing in them can be changed or shown by accident."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacks import AttackCounts, MembershipScores

ARRAYS = ("score", "member", "model_id", "example_id")


def scores() -> MembershipScores:
    return MembershipScores([0.5, -np.inf, np.inf, 2], [1, 0, 1, 0], [3, 3, 4, 4], [7, 8, 7, 8])


# --- counts ---


def test_counts_and_rates():
    counts = AttackCounts(tp=30, fp=1, tn=9, fn=10)
    assert (counts.n_members, counts.n_non_members, counts.tpr, counts.fpr) == (40, 10, 0.75, 0.1)
    assert AttackCounts.from_dict(json.loads(json.dumps(counts.to_dict()))) == counts


def test_counts_are_named_never_positional():
    with pytest.raises(TypeError):
        AttackCounts(1, 2, 3, 4)  # type: ignore[misc]


@pytest.mark.parametrize("value", [-1, 1.5, np.nan, np.inf])
@pytest.mark.parametrize("name", ["tp", "fp", "tn", "fn"])
def test_bad_counts_are_named(name: str, value: float):
    with pytest.raises(ValueError, match=f"{name} must be a"):
        AttackCounts(**{"tp": 1, "fp": 1, "tn": 1, "fn": 1, name: value})


@pytest.mark.parametrize("counts", [{"tp": 0, "fn": 0, "fp": 1, "tn": 1}, {"tp": 1, "fn": 0, "fp": 0, "tn": 0}])
def test_a_truth_never_tried_is_refused(counts: dict[str, int]):
    with pytest.raises(ValueError, match="both truths need at least one trial"):
        AttackCounts(**counts)


def test_counts_take_whole_numbers_of_any_type():
    counts = AttackCounts(tp=np.int8(1), fp=2.0, tn=3, fn=4)  # type: ignore[arg-type]
    assert all(type(getattr(counts, name)) is int for name in ("tp", "fp", "tn", "fn"))


@given(st.lists(st.tuples(st.floats(allow_nan=False), st.booleans()), min_size=2), st.floats(allow_nan=False))
def test_counts_from_scores_equal_a_loop(rows: list[tuple[float, bool]], threshold: float):
    member = [m for _, m in rows]
    if all(member) or not any(member):
        return
    counts = AttackCounts.from_scores(MembershipScores([s for s, _ in rows], member), threshold)
    loop = {"tp": 0, "fp": 0, "tn": 0, "fn": 0}
    for score, truth in rows:
        loop[("t" if truth == (score >= threshold) else "f") + ("p" if score >= threshold else "n")] += 1
    assert counts == AttackCounts(**loop)


def test_counts_from_predictions():
    assert AttackCounts.from_predictions([1, 1, 0, 0], [True, False, True, True]) == AttackCounts(tp=1, fn=1, fp=2, tn=0)
    with pytest.raises(ValueError, match="lengths must agree"):
        AttackCounts.from_predictions([1, 0], [1])
    with pytest.raises(ValueError, match="guess must hold only true/false or 0/1"):
        AttackCounts.from_predictions([1, 0], [1, 2])


def test_threshold_must_be_a_number():
    with pytest.raises(ValueError, match="threshold"):
        AttackCounts.from_scores(scores(), np.nan)
    assert AttackCounts.from_scores(scores(), np.inf).tp == 1


# --- scores ---


def test_defaults_name_one_model_and_count_examples():
    record = MembershipScores([1, 2, 3], [True, False, True])
    assert record.score.dtype == np.float64
    assert record.model_id.tolist() == [0, 0, 0]
    assert record.example_id.tolist() == [0, 1, 2]
    assert (len(record), record.n_members, record.n_non_members) == (3, 2, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], []), "score must not be empty"),
        (([1, 2], [1]), "score: 2, member: 1"),
        (([1, 2], [1, 1]), "both members and non-members, got 2 members of 2"),
        (([1, 2], [0, 0]), "got 0 members of 2"),
        (([1, np.nan], [1, 0]), "score must not hold NaN, got 1 of 2"),
        (([[1, 2]], [1, 0]), "score must have one axis"),
        ((["1", "2"], [1, 0]), "score must hold numbers"),
        (([1j, 2], [1, 0]), "score must hold numbers"),
        (([1, 2], [1, 0.5]), "member must hold only"),
        (([1, 2], ["1", "0"]), "member must hold only"),
        (([1, 2], [1, 0], [0.0, 1.0]), "model_id must hold whole numbers"),
        (([1, 2], [1, 0], [0]), "model_id: 1"),
        (([1, 2], [1, 0], None, [5, 5]), "each .* must stand once, got 1 repeated"),
        (([1, 2], [1, 0], None, np.array([2**63, 1], dtype=np.uint64)), "example_id must fit"),
    ],
)
def test_bad_input_is_named(arguments: tuple[object, ...], message: str):
    with pytest.raises(ValueError, match=message):
        MembershipScores(*arguments)  # type: ignore[arg-type]


def test_the_same_example_may_stand_once_per_model():
    assert len(scores()) == 4


@pytest.mark.parametrize("clone", [lambda r: r, copy.copy, copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))])
def test_arrays_are_read_only_also_in_copies(clone):
    record = clone(scores())
    assert record.equals(scores())
    for name in ARRAYS:
        with pytest.raises(ValueError, match="read-only"):
            getattr(record, name)[0] = 0


def test_input_arrays_are_copied():
    given_scores = np.array([1.0, 2.0])
    record = MembershipScores(given_scores, [1, 0])
    given_scores[0] = 5
    assert record.score[0] == 1
    with pytest.raises(FrozenInstanceError):
        record.score = given_scores  # type: ignore[misc]


def test_equality_is_explicit():
    other = MembershipScores([0.5, -np.inf, np.inf, 3], [1, 0, 1, 0], [3, 3, 4, 4], [7, 8, 7, 8])
    assert scores().equals(scores())
    assert not scores().equals(other)


def test_text_and_summary_show_no_score():
    record = MembershipScores([0.123456, 0.654321], [1, 0])
    for text in (repr(record), str(record), json.dumps(record.to_dict())):
        assert "123456" not in text
        assert "654321" not in text
    assert repr(record) == "MembershipScores(n_members=1, n_non_members=1)"
    assert record.to_dict() == {"schema_version": 1, "n_members": 1, "n_non_members": 1, "auc": 0.0}
