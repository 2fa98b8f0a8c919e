"""The records of an audit by shadow models, and the part of them that one model is trained on.

A data set is a pair of arrays (inputs, targets), or a torch data set of such pairs. Each model's training code gets a part of the same
kind: a pair of arrays, or a `torch.utils.data.Subset`. Targets are classes, or, for a language model, the tokens that each place of a
sequence is to predict: a record is then one sequence, (sequences[:, :-1], sequences[:, 1:]). To read a model out, a torch data set is
gathered once, in order, so its items must be the same at every look: random augmentation belongs into the training code.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset, default_collate

from attacks.shadow.fingerprints import fingerprint
from attacks.signals import as_array

Column = NDArray[np.generic] | Tensor
Pair = tuple[Column, Column]
DataSet = Pair | Dataset[tuple[Tensor, Tensor]]

_GATHERED = 1024  # items at a time


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AuditedRecords:
    """All records that shadow models are trained on or asked about.

    Parameters
    ----------
    inputs : (N, ...) array or tensor.
    targets : (N,) classes, or (N, T) tokens of sequences with T >= 2 places.
    source : the torch data set they were gathered from; None where arrays were given.

    Raises
    ------
    ValueError : lengths that differ, no record, or targets that are no whole numbers.

    Notes
    -----
    The text form shows the number of records, no value.
    """

    inputs: Column
    targets: Column
    source: Dataset[tuple[Tensor, Tensor]] | None = None

    def __post_init__(self) -> None:
        shapes = tuple(self.inputs.shape), tuple(self.targets.shape)
        fits = shapes[0] and shapes[0][0] > 0 and shapes[1][:1] == shapes[0][:1]
        if not fits or not (len(shapes[1]) == 1 or (len(shapes[1]) == 2 and shapes[1][1] >= 2)):
            wanted = "inputs (N, ...) and targets (N,), or (N, T) tokens of T >= 2 places, with N >= 1"
            raise ValueError(f"a data set must hold {wanted}, got shapes {shapes[0]} and {shapes[1]}")
        if as_array(self.targets).dtype.kind not in "iub":
            raise ValueError(f"targets must be classes or tokens (whole numbers), got dtype {as_array(self.targets).dtype}")

    def __len__(self) -> int:
        return int(self.inputs.shape[0])

    def __repr__(self) -> str:
        return f"AuditedRecords(n={len(self)})"

    @property
    def are_sequences(self) -> bool:
        """Whether each record's target is a sequence of tokens."""
        return self.targets.ndim == 2

    def _row_bytes(self) -> list[bytes]:
        inputs, targets = np.ascontiguousarray(as_array(self.inputs)), as_array(self.targets).astype(np.int64)
        return [row.tobytes() + target.tobytes() for row, target in zip(inputs, targets, strict=True)]

    def part(self, member: NDArray[np.bool_]) -> DataSet:
        """Return the records with `member` True, as the kind of data set that was given; member (N,) bool."""
        index = np.flatnonzero(member)
        if self.source is not None:
            return Subset(self.source, index.tolist())
        return _taken(self.inputs, index), _taken(self.targets, index)

    def n_shared(self, other: AuditedRecords) -> int:
        """Return how many records of `other` are also here, inputs and targets bit for bit."""
        mine = set(self._row_bytes())
        return sum(row in mine for row in other._row_bytes())

    def fingerprints(self) -> dict[str, str]:
        """Return SHA-256 of the inputs and of the targets, in order."""
        return {"inputs": fingerprint(as_array(self.inputs)), "targets": fingerprint(as_array(self.targets))}


def as_records(*data_sets: DataSet | None) -> AuditedRecords:
    """Join data sets of one kind, one after the other; None is left out.

    Raises
    ------
    TypeError : neither a pair of arrays nor a torch data set, or a mixture of both kinds.
    ValueError : shapes that don't fit.
    """
    given = [data for data in data_sets if data is not None]
    if all(isinstance(data, tuple | list) for data in given):
        pairs = [_pair(data) for data in given]
        return AuditedRecords(_joined([pair[0] for pair in pairs]), _joined([pair[1] for pair in pairs]))
    if not all(isinstance(data, Dataset) for data in given):
        kinds = ", ".join(type(data).__name__ for data in given)
        raise TypeError(f"a data set must be a pair (inputs, targets) or a torch data set, all of one kind, got {kinds}")
    source: Dataset[tuple[Tensor, Tensor]] = given[0] if len(given) == 1 else ConcatDataset(given)  # type: ignore[assignment, arg-type]
    inputs, targets = _gathered(source)
    return AuditedRecords(inputs, targets, source)


def _pair(data: DataSet) -> Pair:
    values: tuple[ArrayLike, ...] = tuple(data)  # type: ignore[arg-type]
    if len(values) != 2:
        raise TypeError(f"a data set must be a pair (inputs, targets), got {len(values)} parts")
    inputs, targets = (value if isinstance(value, Tensor) else np.asarray(value) for value in values)
    return inputs, targets


def _joined(columns: list[Column]) -> Column:
    if len(columns) == 1:
        return columns[0]
    if len({tuple(column.shape[1:]) for column in columns}) > 1:
        raise ValueError(f"data sets must have records of one shape, got {[tuple(column.shape[1:]) for column in columns]}")
    if all(isinstance(column, Tensor) for column in columns):
        return torch.cat(columns)  # type: ignore[arg-type]
    return np.concatenate([as_array(column) for column in columns])


def _taken(column: Column, index: NDArray[np.intp]) -> Column:
    return column[torch.from_numpy(index)] if isinstance(column, Tensor) else column[index]


def _gathered(source: Dataset[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    n = len(source)  # type: ignore[arg-type]
    if n == 0:
        raise ValueError("a data set must hold at least one record, got an empty torch data set")
    parts = [default_collate([source[i] for i in range(start, min(start + _GATHERED, n))]) for start in range(0, n, _GATHERED)]
    if any(not isinstance(part, list | tuple) or len(part) != 2 for part in parts):
        raise TypeError("items of a torch data set must be pairs (input, target)")
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
