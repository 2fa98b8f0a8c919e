"""Evidence: the scores an attack gave, and the counts a threshold makes of them.

A score is larger for "more likely a member"; the guess is "member" when `score >= threshold`. Infinite scores are legal and are
ordered; NaN is not. Cost: one sort, O(n log n), where an order is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.json_ready import JsonValue
from mechanisms.validation import in_range, one_dimensional, same_length, whole_number

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackCounts:
    """Outcome of one threshold attack: rows are truth, columns are guesses.

    Parameters
    ----------
    tp, fp, tn, fn : members guessed "member", non-members guessed "member", non-members and members guessed "non-member".

    Raises
    ------
    ValueError : a count is negative, not whole (beyond 1e-9) or NaN, or one of the two truths was never tried.
    """

    tp: int
    fp: int
    tn: int
    fn: int

    def __post_init__(self) -> None:
        for name in ("tp", "fp", "tn", "fn"):
            object.__setattr__(self, name, whole_number(**{name: getattr(self, name)}))
        if self.tp + self.fn == 0 or self.fp + self.tn == 0:
            raise ValueError(f"both truths need at least one trial, got {self.n_members} members and {self.n_non_members} non-members")

    @property
    def n_members(self) -> int:
        """Trials with the record present, tp + fn."""
        return self.tp + self.fn

    @property
    def n_non_members(self) -> int:
        """Trials with the record absent, fp + tn."""
        return self.fp + self.tn

    @property
    def tpr(self) -> float:
        """Share of members guessed "member"."""
        return self.tp / self.n_members

    @property
    def fpr(self) -> float:
        """Share of non-members guessed "member"."""
        return self.fp / self.n_non_members

    @classmethod
    def from_scores(cls, scores: MembershipScores, threshold: float) -> AttackCounts:
        """Count the guesses `score >= threshold`; the threshold must not come from the same scores if the counts feed a bound."""
        threshold = in_range(-np.inf, np.inf, closed="both", threshold=threshold)
        return cls.from_predictions(scores.member, scores.score >= threshold)

    @classmethod
    def from_predictions(cls, member: ArrayLike, guess: ArrayLike) -> AttackCounts:
        """Count guesses against the truth; both are arrays of bool (or 0 and 1), shape (n,)."""
        truth, guessed = as_membership(member=member), as_membership(guess=guess)
        same_length(member=truth, guess=guessed)
        tp = int(np.sum(truth & guessed))
        fp = int(np.sum(~truth & guessed))
        return cls(tp=tp, fp=fp, fn=int(truth.sum()) - tp, tn=int((~truth).sum()) - fp)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {"schema_version": SCHEMA_VERSION, "tp": self.tp, "fp": self.fp, "tn": self.tn, "fn": self.fn}

    @classmethod
    def from_dict(cls, record: Mapping[str, int]) -> AttackCounts:
        """Rebuild counts from `to_dict()`."""
        return cls(tp=record["tp"], fp=record["fp"], tn=record["tn"], fn=record["fn"])


@dataclass(frozen=True, slots=True, eq=False, init=False, repr=False)
class MembershipScores:
    """Scores of challenge points with their true membership.

    Parameters
    ----------
    score : (n,) float, larger = more likely a member; infinities allowed, NaN not.
    member : (n,) bool, or 0 and 1.
    model_id : (n,) int, which model was attacked; None means one model (all 0).
    example_id : (n,) int, which example was guessed; None means 0..n-1.

    Raises
    ------
    ValueError : empty input, lengths that differ, NaN scores, one-class membership, a (model_id, example_id) pair that stands twice.

    Notes
    -----
    The arrays are copies and read-only, also after copying or unpickling. The text form shows counts, no score.
    """

    score: NDArray[np.float64]
    member: NDArray[np.bool_]
    model_id: NDArray[np.int64]
    example_id: NDArray[np.int64]

    def __init__(self, score: ArrayLike, member: ArrayLike, model_id: ArrayLike | None = None, example_id: ArrayLike | None = None) -> None:
        scores, members = _as_scores(score), as_membership(member=member)
        n = same_length(score=scores, member=members)
        if n == 0:
            raise ValueError("score must not be empty")
        if members.all() or not members.any():
            raise ValueError(f"member must hold both members and non-members, got {int(members.sum())} members of {n}")
        model_ids = _as_ids("model_id", model_id, np.zeros(n, dtype=np.int64))
        example_ids = _as_ids("example_id", example_id, np.arange(n, dtype=np.int64))
        same_length(score=scores, model_id=model_ids, example_id=example_ids)
        _refuse_duplicates(model_ids, example_ids)
        for name, array in (("score", scores), ("member", members), ("model_id", model_ids), ("example_id", example_ids)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __reduce__(self) -> tuple[type[MembershipScores], tuple[NDArray[np.generic], ...]]:
        return type(self), (self.score, self.member, self.model_id, self.example_id)

    def __deepcopy__(self, memo: dict[int, object]) -> MembershipScores:
        return type(self)(self.score, self.member, self.model_id, self.example_id)

    def __repr__(self) -> str:
        return f"MembershipScores(n_members={self.n_members}, n_non_members={self.n_non_members})"

    def __len__(self) -> int:
        return len(self.score)

    @property
    def n_members(self) -> int:
        """Number of challenge points that were members."""
        return int(self.member.sum())

    @property
    def n_non_members(self) -> int:
        """Number of challenge points that were not members."""
        return len(self) - self.n_members

    @property
    def auc(self) -> float:
        """Area under the ROC: P(member scores higher) + P(tie) / 2."""
        from attacks.membership.metrics import auc

        return auc(self)

    def roc(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return (fpr, tpr, threshold) of the step curve, from guessing nobody to guessing everybody."""
        from attacks.membership.metrics import roc

        return roc(self)

    def tpr_at_fpr(self, f: float) -> float:
        """Largest TPR with FPR <= f on the step curve, without interpolation."""
        from attacks.membership.metrics import tpr_at_fpr

        return tpr_at_fpr(self, f)

    def equals(self, other: MembershipScores) -> bool:
        """Whether both records hold the same arrays."""
        names = ("score", "member", "model_id", "example_id")
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)

    @classmethod
    def read(cls, path: str | PathLike[str]) -> MembershipScores:
        """Read a .csv or .parquet file with columns score, member and, optionally, model_id, example_id."""
        from attacks.score_files import read_scores

        return read_scores(path)

    def write(self, path: str | PathLike[str]) -> None:
        """Write a .csv or .parquet file that `read` gives back bit for bit."""
        from attacks.score_files import write_scores

        write_scores(self, path)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready summary: counts and the AUC, no score of any record."""
        return {"schema_version": SCHEMA_VERSION, "n_members": self.n_members, "n_non_members": self.n_non_members, "auc": self.auc}


def as_membership(**values: ArrayLike) -> NDArray[np.bool_]:
    """Return a fresh bool array from bool or 0/1 values, or raise ValueError naming the argument."""
    (name, value), *_ = values.items()
    array = one_dimensional(**{name: value})
    if array.dtype != np.bool_ and not np.isin(array, (0, 1)).all():
        raise ValueError(f"{name} must hold only true/false or 0/1")
    return np.array(array, dtype=np.bool_)


def _as_scores(value: ArrayLike) -> NDArray[np.float64]:
    array = one_dimensional(score=value)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"score must hold numbers, got dtype {array.dtype}")
    score = np.array(array, dtype=np.float64)
    n_nan = int(np.isnan(score).sum())
    if n_nan:
        raise ValueError(f"score must not hold NaN, got {n_nan} of {len(score)}")
    return score


def _as_ids(name: str, value: ArrayLike | None, default: NDArray[np.int64]) -> NDArray[np.int64]:
    if value is None:
        return default
    array = one_dimensional(**{name: value})
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold whole numbers, got dtype {array.dtype}")
    if array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise ValueError(f"{name} must fit into 64-bit signed integers")
    return np.array(array, dtype=np.int64)


def _refuse_duplicates(model_id: NDArray[np.int64], example_id: NDArray[np.int64]) -> None:
    order = np.lexsort((example_id, model_id))
    same = (np.diff(model_id[order]) == 0) & (np.diff(example_id[order]) == 0)
    if same.any():
        raise ValueError(f"each (model_id, example_id) must stand once, got {int(same.sum())} repeated rows")
