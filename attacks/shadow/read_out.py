"""What an attacker with black-box access reads from a trained model: the logit signal of every record.

torch modules are asked for logits, in evaluation mode and without gradients; scikit-learn classifiers for probabilities, whose logit is
clipped where a probability is 0 or 1. Cost: one forward pass over the records.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attacks.shadow.records import Column
from attacks.signals import as_array, logit_from_probabilities, logit_signal

Floats = NDArray[np.float64]

_ROWS = 4096
_logger = logging.getLogger(__name__)


def model_signals(model: object, inputs: Column, targets: Column) -> Floats:
    """Return log(p_y / (1 - p_y)) of every record under a model, float64, shape (N,).

    Parameters
    ----------
    model : a torch module that returns logits, (N, C) or one per record, or a classifier with `predict_proba` and `classes_`.
    inputs, targets : the records, targets as classes.

    Raises
    ------
    TypeError : a model of another kind.
    ValueError : outputs that don't fit the targets, or that are not finite (the training diverged).
    """
    if isinstance(model, nn.Module):
        return logit_signal(module_logits(model, inputs), as_array(targets))
    if callable(getattr(model, "predict_proba", None)):
        return _of_classifier(model, inputs, as_array(targets))
    raise TypeError(f"a model must be a torch module or have predict_proba, got {type(model).__name__}")


def module_logits(model: nn.Module, inputs: Column) -> Floats:
    """Return a module's outputs for every record in evaluation mode, (N, C), or (N,) where it gives one logit."""
    first = next((parameter for parameter in model.parameters() if parameter.is_floating_point()), None)
    records = inputs if isinstance(inputs, Tensor) else torch.from_numpy(np.ascontiguousarray(inputs))
    if first is not None:
        records = records.to(first.device, first.dtype if records.is_floating_point() else torch.int64)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            parts = [as_array(model(records[start : start + _ROWS])).astype(np.float64) for start in range(0, len(records), _ROWS)]
    finally:
        model.train(was_training)
    logits = np.concatenate(parts)
    return logits[:, 0] if logits.ndim == 2 and logits.shape[1] == 1 else logits


def class_probabilities(model: object, inputs: Column, classes: NDArray[np.generic]) -> Floats:
    """Return a classifier's probabilities of `classes` (sorted, holding all of its own); a class that it never saw has probability 0."""
    found = np.asarray(model.predict_proba(as_array(inputs)), dtype=np.float64)  # type: ignore[attr-defined]
    probabilities = np.zeros((len(found), len(classes)))
    probabilities[:, np.searchsorted(classes, np.asarray(model.classes_))] = found  # type: ignore[attr-defined]
    return probabilities


def _of_classifier(model: object, inputs: Column, targets: NDArray[np.generic]) -> Floats:
    every = np.union1d(np.asarray(model.classes_), targets)  # type: ignore[attr-defined]
    probabilities = class_probabilities(model, inputs, every)
    signal = logit_from_probabilities(probabilities, np.searchsorted(every, targets))
    if signal.clipped_share:
        _logger.info("%.1f %% of the probabilities of a model were 0 or 1 and were clipped", 100 * signal.clipped_share)
    return signal.value
