"""The pool of records that all shadow models draw from, checked once: no message holds a value of a record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from attacks.shadow.losses import Loss


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Records (N, ...), targets (N, ...) and who trains on them, (K, N) bool."""

    inputs: Tensor
    targets: Tensor
    member: NDArray[np.bool_]


def as_inputs(inputs: ArrayLike | Tensor, module: nn.Module) -> Tensor:
    """Return the records as a tensor that the module takes: floats in its own precision, whole numbers (tokens) as int64.

    Raises
    ------
    ValueError : no record, no axis, or NaN or infinite values.
    """
    tensor = _as_tensor("inputs", inputs)
    if tensor.dim() == 0 or len(tensor) == 0:
        raise ValueError(f"inputs must hold at least one record along axis 0, got shape {tuple(tensor.shape)}")
    if not tensor.is_floating_point():
        return tensor.to(torch.int64)
    _refuse_non_finite("inputs", tensor)
    return tensor.to(precision_of(module))


def as_pool(inputs: ArrayLike | Tensor, targets: ArrayLike | Tensor, member: ArrayLike, *, module: nn.Module, loss: Loss) -> Pool:
    """Check records, targets and membership against each other and against what the module returns for two records.

    Raises
    ------
    ValueError : shapes that do not fit, NaN or infinite values, labels out of range, membership other than 0 and 1.
    """
    records = as_inputs(inputs, module)
    members = as_member(member, len(records))
    output = _output_shape(module, records)
    labels = _as_tensor("targets", targets)
    if len(labels.shape) == 0 or len(labels) != len(records):
        raise ValueError(f"targets must hold one row per record, got shape {tuple(labels.shape)} for {len(records)} records")
    if loss.has_classes:
        return Pool(records, _as_classes(labels, n_classes=output), members)
    _refuse_non_finite("targets", labels)
    if labels.numel() != len(records) * output:
        raise ValueError(f"targets must have shape ({len(records)}, {output}), got {tuple(labels.shape)}")
    return Pool(records, labels.to(precision_of(module)).reshape(len(records), output), members)


def as_member(member: ArrayLike, n_records: int) -> NDArray[np.bool_]:
    """Return membership as (K, n_records) bool; one row may come as one axis."""
    array = np.asarray(member)
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2 or array.shape[1] != n_records or not len(array):
        raise ValueError(f"member must have shape (models, {n_records}), got {array.shape}")
    if array.dtype != np.bool_ and not np.isin(array, (0, 1)).all():
        raise ValueError("member must hold only true/false or 0/1")
    return np.array(array, dtype=np.bool_)


def precision_of(module: nn.Module) -> torch.dtype:
    """The floating-point type of the module's weights."""
    return next((parameter.dtype for parameter in module.parameters() if parameter.is_floating_point()), torch.float32)


def _as_tensor(name: str, value: ArrayLike | Tensor) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().cpu()
    array = np.ascontiguousarray(value)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold numbers, got dtype {array.dtype}")
    return torch.tensor(array)


def _refuse_non_finite(name: str, tensor: Tensor) -> None:
    n_bad = int((~torch.isfinite(tensor)).sum()) if tensor.is_floating_point() else 0
    if n_bad:
        raise ValueError(f"{name} must be finite, got {n_bad} NaN or infinite values of {tensor.numel()}")


def _output_shape(module: nn.Module, records: Tensor) -> int:
    """Run the module on the first records; return how many numbers it gives for each."""
    _refuse_unknown_tokens(module, records)
    some = records[:2]
    module.eval()
    try:
        with torch.no_grad():
            output = module(some)
    except (RuntimeError, IndexError) as error:
        seen = f"{some.dtype} and shape {tuple(records.shape)}"
        raise ValueError(f"inputs must fit the module, got {seen}; tokens are whole numbers, all else is floats") from error
    if not isinstance(output, Tensor) or output.dim() != 2 or len(output) != len(some):
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"the module must map {len(some)} records to shape ({len(some)}, outputs), got {shape}")
    return int(output.shape[1])


def _refuse_unknown_tokens(module: nn.Module, records: Tensor) -> None:
    tables = [layer.num_embeddings for layer in module.modules() if isinstance(layer, nn.Embedding)]
    if len(tables) != 1 or records.is_floating_point():
        return
    n_bad = int(((records < 0) | (records >= tables[0])).sum())
    if n_bad:
        raise ValueError(f"inputs must hold tokens from 0 to {tables[0] - 1}, got {n_bad} out of range")


def _as_classes(labels: Tensor, *, n_classes: int) -> Tensor:
    if labels.is_floating_point() or labels.dim() != 1:
        raise ValueError(f"targets must be whole numbers of shape (records,), got {labels.dtype} of shape {tuple(labels.shape)}")
    n_bad = int(((labels < 0) | (labels >= n_classes)).sum())
    if n_bad:
        raise ValueError(f"targets must be classes from 0 to {n_classes - 1}, got {n_bad} labels out of range")
    return labels.to(torch.int64)
