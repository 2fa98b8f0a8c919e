"""Signals: one number per record from what a model puts out, before any calibration.

Symbols (Carlini et al., S&P 2022; Zarifzadeh et al., ICML 2024): logits u in R^C, true label y,
    logit        phi = u_y - log sum_{c != y} exp u_c = log(p_y / (1 - p_y)), computed from the logits, never through p (p = 1 overflows)
    loss         -log p_y = log(1 + exp(-phi))
    hinge        u_y - max_{c != y} u_c
    probability  p_y = 1 / (1 + exp(-phi))
    regression   phi = -(yhat - y)^2 / (2 s^2)
    sequence     log(p / (1 - p)) of p = exp(-mean loss of the tokens), the geometric mean of their probabilities
The logit signal holds all that the attacks of this package need: RMIA's p_y is `probability_of_logit(phi)`. All signals are float64 of
shape (..., n); leading axes are models. Cost: O(n C) per model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logsumexp

from mechanisms.validation import one_dimensional, positive

Floats = NDArray[np.float64]

SMALLEST_PROBABILITY = 1e-12


@runtime_checkable
class _Tensor(Protocol):
    """What a torch tensor offers; torch itself isn't loaded for it."""

    def detach(self) -> _Tensor: ...

    def cpu(self) -> _Tensor: ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ClippedSignal:
    """Logit signal made from probabilities.

    Parameters
    ----------
    value : (..., n) logit signal.
    clipped_share : share of values whose probabilities were moved to 1e-12 or 1 - 1e-12; these records look alike.
    """

    value: Floats
    clipped_share: float

    def __repr__(self) -> str:
        return f"ClippedSignal(shape={self.value.shape}, clipped_share={self.clipped_share:.3g})"


def logit_signal(logits: ArrayLike, labels: ArrayLike) -> Floats:
    """Return phi = log(p_y / (1 - p_y)) of each record, from the logits.

    Parameters
    ----------
    logits : (..., n, C) logits of C >= 2 classes; or (..., n) or (..., n, 1): one logit of class 1 of two. Torch tensors are taken.
    labels : (n,) true classes, whole numbers from 0.

    Returns
    -------
    (..., n) float64; larger = fitted better = more likely a member.

    Raises
    ------
    ValueError : shapes that don't fit, labels outside the classes, a signal that isn't finite.

    References
    ----------
    Carlini et al., Membership Inference Attacks From First Principles, S&P 2022, section IV-C.

    Examples
    --------
    >>> logit_signal([[2.0, 0.0], [0.0, 1.0]], [0, 0]).tolist()
    [2.0, -1.0]
    >>> logit_signal([2.0, -1.0], [1, 1]).tolist()
    [2.0, -1.0]
    """
    right, others = _right_and_others(logits, labels)
    with np.errstate(invalid="ignore"):  # inf - inf becomes NaN and is refused by count below
        return _finite(right - logsumexp(others, axis=-1))


def loss_signal(logits: ArrayLike, labels: ArrayLike) -> Floats:
    """Return the cross-entropy -log p_y of each record; parameters and errors as for `logit_signal`. A score is minus the loss."""
    return np.asarray(np.logaddexp(0.0, -logit_signal(logits, labels)), dtype=np.float64)


def hinge_signal(logits: ArrayLike, labels: ArrayLike) -> Floats:
    """Return u_y minus the largest other logit of each record; parameters and errors as for `logit_signal`."""
    right, others = _right_and_others(logits, labels)
    with np.errstate(invalid="ignore"):
        return _finite(right - others.max(axis=-1))


def probability_signal(logits: ArrayLike, labels: ArrayLike) -> Floats:
    """Return the probability p_y of the true label of each record; parameters and errors as for `logit_signal`."""
    return probability_of_logit(logit_signal(logits, labels))


def probability_of_logit(phi: ArrayLike) -> Floats:
    """Return p_y = 1 / (1 + exp(-phi)), the probability that a logit signal stands for."""
    return np.asarray(expit(np.asarray(as_array(phi), dtype=np.float64)), dtype=np.float64)


def logit_of_loss(loss: ArrayLike) -> Floats:
    """Return phi = log(p / (1 - p)) with p = exp(-loss), the logit signal that a cross-entropy stands for.

    Parameters
    ----------
    loss : (..., n) losses in nats, > 0 and finite; of a sequence the mean over its tokens.

    Raises
    ------
    ValueError : a loss that isn't positive and finite.

    Examples
    --------
    >>> logit_of_loss(loss_signal([[2.0, 0.0], [0.0, 1.0]], [0, 0])).round(12).tolist()
    [2.0, -1.0]
    """
    losses = np.asarray(as_array(loss), dtype=np.float64)
    n_bad = int(np.sum(~((losses > 0) & np.isfinite(losses))))
    if n_bad:
        raise ValueError(f"losses must be positive and finite, got {n_bad} of {losses.size} that are not; give nats, larger = fitted worse")
    return -(losses + np.log(-np.expm1(-losses)))


def sequence_signal(logits: ArrayLike, tokens: ArrayLike) -> Floats:
    """Return phi of the mean loss of each sequence's tokens.

    Parameters
    ----------
    logits : (..., n, T, C) logits of C >= 2 tokens at each of T places. Torch tensors are taken.
    tokens : (n, T) what stands at each place, whole numbers from 0.

    Returns
    -------
    (..., n) float64; larger = fitted better = more likely a member.

    Raises
    ------
    ValueError : shapes that don't fit, tokens outside the vocabulary, a loss that isn't positive and finite.

    Examples
    --------
    >>> sequence_signal([[[2.0, 0.0], [0.0, 2.0]]], [[0, 1]]).round(12).tolist()
    [2.0]
    """
    truth, u = as_array(tokens), np.asarray(as_array(logits), dtype=np.float64)
    if truth.ndim != 2 or 0 in truth.shape or truth.dtype.kind not in "iu":
        raise ValueError(f"tokens must be whole numbers of shape (sequences, places), none 0, got {truth.dtype} of shape {truth.shape}")
    if u.ndim < 3 or u.shape[-3:-1] != truth.shape or u.shape[-1] < 2:
        n, places = truth.shape
        raise ValueError(f"logits must have shape (..., {n}, {places}, C) for tokens of shape {truth.shape}, got {u.shape}")
    if not (truth.min() >= 0 and truth.max() < u.shape[-1]):
        raise ValueError(f"tokens must be in 0..{u.shape[-1] - 1} for logits of shape {u.shape}")
    right, others = _split_classes(u.reshape(*u.shape[:-3], truth.size, u.shape[-1]), truth.ravel().astype(np.int64))
    with np.errstate(invalid="ignore"):  # NaN is refused by count below
        losses = np.logaddexp(0.0, logsumexp(others, axis=-1) - right)
    return logit_of_loss(losses.reshape(*u.shape[:-3], *truth.shape).mean(axis=-1))


def squared_error_signal(prediction: ArrayLike, target: ArrayLike, scale: float) -> Floats:
    """Return phi = -(prediction - target)^2 / (2 scale^2) of each record of a regression.

    Parameters
    ----------
    prediction : (..., n) predictions.
    target : (n,) true values.
    scale : s > 0, the size of an ordinary error.

    Raises
    ------
    ValueError : shapes that don't fit, scale not positive, a signal that isn't finite.
    """
    scale = positive(scale=scale)
    truth = np.asarray(one_dimensional(target=as_array(target)), dtype=np.float64)
    guess = np.asarray(as_array(prediction), dtype=np.float64)
    if guess.ndim == 0 or guess.shape[-1] != len(truth):
        raise ValueError(f"prediction must have shape (..., {len(truth)}), one per target, got {guess.shape}")
    return _finite(-((guess - truth) ** 2) / (2 * scale**2))


def logit_from_probabilities(probabilities: ArrayLike, labels: ArrayLike) -> ClippedSignal:
    """Return phi = log p_y - log sum_{c != y} p_c where only probabilities are known; both are clipped to [1e-12, 1 - 1e-12].

    Parameters
    ----------
    probabilities : (..., n, C), rows sum to 1 within 1e-3; or (..., n) or (..., n, 1): probability of class 1 of two.
    labels : (n,) true classes.

    Returns
    -------
    The signal and the share of its values that were clipped.

    Raises
    ------
    ValueError : shapes that don't fit, a probability outside [0, 1], rows that don't sum to 1.

    Examples
    --------
    >>> signal = logit_from_probabilities([[0.5, 0.5], [1.0, 0.0]], [0, 0])
    >>> signal.value.round(3).tolist(), signal.clipped_share
    ([0.0, 27.631], 0.5)
    """
    p, truth, one_column = _outputs("probabilities", probabilities, labels)
    n_bad = int(np.sum(~((p >= 0) & (p <= 1))))
    if n_bad:
        raise ValueError(f"probabilities must be in [0, 1], got {n_bad} of {p.size} outside; are these logits?")
    if one_column:
        p = np.concatenate([1 - p, p], axis=-1)
    elif np.any(np.abs(p.sum(axis=-1) - 1) > 1e-3):
        raise ValueError("probabilities must sum to 1 over the classes; are some classes missing?")
    right, others = _split_classes(p, truth)
    other = others.sum(axis=-1)
    low, high = SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY
    clipped = (right < low) | (right > high) | (other < low) | (other > high)
    value = np.log(np.clip(right, low, high)) - np.log(np.clip(other, low, high))
    return ClippedSignal(value, float(clipped.mean()) if clipped.size else 0.0)


def as_array(values: ArrayLike) -> NDArray[np.generic]:
    """Return a numpy array of the values; a torch tensor is detached and brought to the CPU."""
    return np.asarray(values.detach().cpu() if isinstance(values, _Tensor) else values)


def _right_and_others(logits: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats]:
    """Return u_y, shape (..., n), and the other logits, shape (..., n, C - 1)."""
    u, truth, one_column = _outputs("logits", logits, labels)
    return _split_classes(np.concatenate([np.zeros_like(u), u], axis=-1) if one_column else u, truth)


def _outputs(name: str, values: ArrayLike, labels: ArrayLike) -> tuple[Floats, NDArray[np.int64], bool]:
    """Return outputs with a class axis (..., n, C), the labels, and whether C is 1, one output of class 1 of two."""
    labelled = one_dimensional(labels=as_array(labels))
    if labelled.dtype.kind not in "iub":
        raise ValueError(f"labels must be whole numbers from 0, got dtype {labelled.dtype}")
    truth = labelled.astype(np.int64)
    output = np.asarray(as_array(values), dtype=np.float64)
    n, shape = len(truth), output.shape
    has_classes, single = len(shape) >= 2 and shape[-2] == n and shape[-1] >= 1, shape[-1:] == (n,)
    if not (has_classes or single):
        raise ValueError(f"{name} must have shape (..., {n}, C), or (..., {n}) or (..., {n}, 1) for two classes, got {shape}")
    if has_classes and single and n > 2 and truth.max() == 1 and truth.min() == 0:
        raise ValueError(
            f"{name} of shape {shape} with labels 0 and 1 may be {n} classes or one output per record of {n} models; "
            f"pass one output as (..., {n}, 1), or take another number of records at a time"
        )
    output = output if has_classes else output[..., None]
    n_classes = max(output.shape[-1], 2)
    if n and not (truth.min() >= 0 and truth.max() < n_classes):
        raise ValueError(f"labels must be in 0..{n_classes - 1} for {name} of shape {shape}")
    return output, truth, output.shape[-1] == 1


def _split_classes(output: Floats, truth: NDArray[np.int64]) -> tuple[Floats, Floats]:
    here = np.arange(output.shape[-1]) == truth[:, None]  # (n, C)
    right = np.sum(np.where(here, output, 0.0), axis=-1)
    others = output[..., ~here].reshape(*output.shape[:-1], output.shape[-1] - 1)
    return right, others


def _finite(signal: Floats) -> Floats:
    n_bad = int(np.sum(~np.isfinite(signal)))
    if n_bad:
        raise ValueError(f"signals must be finite, got {n_bad} of {signal.size} that are not; look for NaN or infinite model outputs")
    return np.asarray(signal, dtype=np.float64)
