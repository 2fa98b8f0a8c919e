"""Scores of TensorFlow Privacy (tensorflow/privacy): the folders of its LiRA code, and the results of its attacks in memory.

LiRA (`research/mi_lira_2021`): a folder with `experiment*` folders, one per model, each with `keep.npy`, (n,) bool, which records the
model was trained on, and `scores/CHECKPOINT.npy`, (n,) or (n, augmentations), logit-scaled confidences, larger for members. They are
signals of a global threshold attack; calibrating them over models is another step.

`AttackResults.save` writes pickles, which are never read here; pass its `SingleAttackResult` while it is in memory.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attacks.adapters.array_files import read_array
from attacks.scores import MembershipScores, as_membership
from mechanisms.validation import one_dimensional

FloatArray = NDArray[np.float64]


class AttackResult(Protocol):
    """What is used of a `SingleAttackResult`: scores of both classes, larger for training records."""

    membership_scores_train: ArrayLike | None
    membership_scores_test: ArrayLike | None


def from_tensorflow_privacy(result: AttackResult) -> MembershipScores:
    """Turn a `SingleAttackResult` into scores.

    Parameters
    ----------
    result : anything with `membership_scores_train` and `membership_scores_test`, each (n,).

    Raises
    ------
    TypeError : an object without these attributes.
    ValueError : a result without scores (its attack keeps a ROC only), or values that `MembershipScores` refuses.
    """
    if not all(hasattr(result, name) for name in ("membership_scores_train", "membership_scores_test")):
        raise TypeError(f"result must be a SingleAttackResult with membership scores, got {type(result).__name__}")
    if result.membership_scores_train is None or result.membership_scores_test is None:
        raise ValueError("result holds no membership scores: its attack keeps a ROC only")
    inside = one_dimensional(membership_scores_train=result.membership_scores_train)
    outside = one_dimensional(membership_scores_test=result.membership_scores_test)
    return MembershipScores(np.concatenate([inside, outside]), np.arange(len(inside) + len(outside)) < len(inside))


def read_tensorflow_privacy_lira(folder: str | os.PathLike[str]) -> MembershipScores:
    """Read the last checkpoint of every model in a LiRA folder.

    Parameters
    ----------
    folder : the folder of the `experiment*` folders; `model_id` counts these in the order of their names, `example_id` the records.

    Returns
    -------
    One score per model and record; those of several augmentations are averaged, as the tool's own plots do.

    Raises
    ------
    FileNotFoundError : no such folder, or no model with scores in it.
    ValueError : files of another format or of lengths that do not fit, or values that `MembershipScores` refuses.

    References
    ----------
    Carlini et al., Membership Inference Attacks From First Principles, S&P 2022; `research/mi_lira_2021` as of April 2026.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(f"no such folder: {root}")
    models = [_model(path) for path in sorted(root.glob("experiment*")) if any(path.glob("scores/*.npy"))]
    if not models:
        raise FileNotFoundError(f"{root.name} holds no folder experiment* with scores/*.npy; run the tool's score.py first")
    lengths = [len(score) for score, _ in models]
    return MembershipScores(
        np.concatenate([score for score, _ in models]),
        np.concatenate([member for _, member in models]),
        np.repeat(np.arange(len(models)), lengths),
        np.concatenate([np.arange(n) for n in lengths]),
    )


def _model(folder: Path) -> tuple[FloatArray, NDArray[np.bool_]]:
    if not (folder / "keep.npy").is_file():
        raise ValueError(f"{folder.name} has scores but no keep.npy")
    file = max(folder.glob("scores/*.npy"), key=lambda path: path.name)
    signal, keep = read_array(file), read_array(folder / "keep.npy")
    if signal.ndim not in (1, 2) or 0 in signal.shape or signal.dtype.kind != "f":
        raise ValueError(f"{folder.name}/scores/{file.name} must hold floats (n,) or (n, augmentations), got {signal.dtype} {signal.shape}")
    if keep.ndim != 1 or len(keep) < len(signal):
        raise ValueError(f"{folder.name}/keep.npy must hold one entry per record, {len(signal)}, got shape {keep.shape}")
    score = np.asarray(signal, dtype=np.float64).reshape(len(signal), -1).mean(axis=1)
    return score, as_membership(keep=keep[: len(signal)])  # scores may cover the first records only, as the tool allows
