"""What an attacker with black-box access reads from a trained model: the logit signal of every record.

torch modules are asked for logits, in evaluation mode and without gradients; scikit-learn classifiers for probabilities, whose logit is
clipped where a probability is 0 or 1. Of a language model it is the logit of the sequence's mean loss. Cost: one forward pass over the
records; of sequences, the logits of 1024 tokens (or of one sequence) are in memory at once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attacks.shadow.records import Column
from attacks.signals import as_array, logit_from_probabilities, logit_signal, sequence_signal

Floats = NDArray[np.float64]

_ROWS = 4096
_TOKENS = 1024
_logger = logging.getLogger(__name__)


def model_signals(model: object, inputs: Column, targets: Column) -> Floats:
    """Return log(p_y / (1 - p_y)) of every record under a model, float64, shape (N,).

    Parameters
    ----------
    model : a torch module that returns logits, (N, C) or one per record, or a classifier with `predict_proba` and `classes_`; for tokens
        a torch module that returns (N, T, C).
    inputs, targets : the records; targets are classes, (N,), or the tokens that each place of a sequence is to predict, (N, T).

    Raises
    ------
    TypeError : a model of another kind.
    ValueError : outputs that don't fit the targets, or that are not finite (the training diverged).
    """
    truth = as_array(targets)
    if isinstance(model, nn.Module):
        return logit_signal(module_logits(model, inputs), truth) if truth.ndim == 1 else _of_sequences(model, inputs, truth)
    if callable(getattr(model, "predict_proba", None)):
        if truth.ndim != 1:
            raise TypeError(f"targets of shape {truth.shape} are tokens: a torch module must predict them, got {type(model).__name__}")
        return _of_classifier(model, inputs, truth)
    raise TypeError(f"a model must be a torch module or have predict_proba, got {type(model).__name__}")


def module_logits(model: nn.Module, inputs: Column) -> Floats:
    """Return a module's outputs for every record in evaluation mode, (N, C), or (N,) where it gives one logit."""
    logits = _read(model, inputs, _ROWS, lambda outputs, _: outputs)
    return logits[:, 0] if logits.ndim == 2 and logits.shape[1] == 1 else logits


def class_probabilities(model: object, inputs: Column, classes: NDArray[np.generic]) -> Floats:
    """Return a classifier's probabilities of `classes` (sorted, holding all of its own); a class that it never saw has probability 0."""
    found = np.asarray(model.predict_proba(as_array(inputs)), dtype=np.float64)  # type: ignore[attr-defined]
    probabilities = np.zeros((len(found), len(classes)))
    probabilities[:, np.searchsorted(classes, np.asarray(model.classes_))] = found  # type: ignore[attr-defined]
    return probabilities


def _of_sequences(model: nn.Module, inputs: Column, tokens: NDArray[np.generic]) -> Floats:
    at_once = max(1, _TOKENS // tokens.shape[1])
    return _read(model, inputs, at_once, lambda logits, rows: sequence_signal(logits, tokens[rows]))


def _read(model: nn.Module, inputs: Column, at_once: int, signals: Callable[[Floats, slice], Floats]) -> Floats:
    """Return what `signals` makes of a module's outputs, some records after the others, in evaluation mode."""
    first = next((parameter for parameter in model.parameters() if parameter.is_floating_point()), None)
    records = inputs if isinstance(inputs, Tensor) else torch.from_numpy(np.ascontiguousarray(inputs))
    if first is not None:
        records = records.to(first.device, first.dtype if records.is_floating_point() else torch.int64)
    slices = [slice(start, start + at_once) for start in range(0, len(records), at_once)]
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            return np.concatenate([signals(as_array(model(records[rows])).astype(np.float64), rows) for rows in slices])
    finally:
        model.train(was_training)


def _of_classifier(model: object, inputs: Column, targets: NDArray[np.generic]) -> Floats:
    every = np.union1d(np.asarray(model.classes_), targets)  # type: ignore[attr-defined]
    probabilities = class_probabilities(model, inputs, every)
    signal = logit_from_probabilities(probabilities, np.searchsorted(every, targets))
    if signal.clipped_share:
        _logger.info("%.1f %% of the probabilities of a model were 0 or 1 and were clipped", 100 * signal.clipped_share)
    return signal.value
