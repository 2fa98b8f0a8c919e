"""Attack results of ML Privacy Meter (privacytrustlab/ml_privacy_meter).

Its audit writes `report/exp/attack_result_K.npz` for target model K: `scores` and `memberships`, shape (n,), both in the order of the
audited records, scores larger for members (its RMIA and LOSS attacks alike); beside them the ROC, which is not needed here.
`attack_result_average.npz` joins the records of all target models without saying where one ends, so it is refused: read its parts.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from attacks.adapters.array_files import existing, read_named_arrays
from attacks.scores import MembershipScores, as_membership


def read_ml_privacy_meter(paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> MembershipScores:
    """Read one or more `attack_result_K.npz` files of one report.

    Parameters
    ----------
    paths : a file, or several: `model_id` counts the files in their order, `example_id` the records within each.

    Returns
    -------
    One score per target model and record.

    Raises
    ------
    FileNotFoundError : no such file.
    ValueError : another format, files of averages, lengths that differ, or values that `MembershipScores` refuses.

    References
    ----------
    Murakonda, Shokri, ML Privacy Meter, 2020; file format as of the repository's `audit.py` in April 2025.
    """
    several = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not several:
        raise ValueError("paths must name at least one file, got none")
    parts = [_one(path) for path in several]
    lengths = [len(score) for score, _ in parts]
    return MembershipScores(
        np.concatenate([score for score, _ in parts]),
        np.concatenate([member for _, member in parts]),
        np.repeat(np.arange(len(parts)), lengths),
        np.concatenate([np.arange(n) for n in lengths]),
    )


def _one(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    file = existing(path, suffix=".npz")
    if file.stem.startswith("attack_result_average"):
        raise ValueError(f"{file.name} joins several target models without saying where one ends; read the attack_result_K.npz files")
    score, member = read_named_arrays(file, ("scores", "memberships"))
    if score.ndim != 1 or score.shape != member.shape or score.dtype.kind not in "fiu":
        raise ValueError(
            f"{file.name} must hold numbers 'scores' and 'memberships' of one shape (n,), got {score.shape} and {member.shape}"
        )
    return score, as_membership(memberships=member)
