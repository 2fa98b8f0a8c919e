"""How a canary record travels through a data set, a collate function and a batch: a mark in the first input tensor.

A canary is a copy of the data set's first record whose first tensor is overwritten: its first element is the mark, the others are the
canary's number n and its complement -n - 1 in turn. Floating-point inputs are marked by NaN, whole-number inputs by the smallest number of
their type, so no record that a network can use is mistaken for a canary. A row that carries the mark but not one number and its complement
was scaled or shifted between the data set and the module (or is a real record with a NaN): it is refused, never guessed at.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

LARGEST_EXACT = {torch.float16: 2**11, torch.bfloat16: 2**8}
MADE_AHEAD = 64 * 2**20  # bytes; larger canary sets are made one by one as they are asked for


class CanaryDataset(Dataset[Any]):
    """The user's records, then one marked copy of the first record for every included canary.

    Parameters
    ----------
    records : map-style data set whose items are a tensor, or a tuple or list that starts with one.
    canary_ids : numbers of the canaries that are in the data.

    Raises
    ------
    TypeError : the data set has no length, or its items do not start with a tensor.
    ValueError : the first tensor can't carry a mark.
    """

    def __init__(self, records: Dataset[Any], canary_ids: list[int]) -> None:
        if isinstance(records, IterableDataset) or not hasattr(records, "__len__"):
            raise TypeError("dataset must be map-style with a length: canaries need indexed records")
        self.records = records
        self.canary_ids = list(canary_ids)
        self.n_records = len(records)
        if self.n_records == 0:
            raise ValueError("dataset must not be empty")
        template = records[0]
        if not isinstance(_first(template), Tensor):
            raise TypeError("dataset items must be a tensor, or a tuple or list that starts with a tensor; convert inside the data set")
        self._template = template
        example = _first(template)
        check_markable(example, max(self.canary_ids, default=0))
        small = example.numel() * example.element_size() * len(self.canary_ids) <= MADE_AHEAD
        self._made_ahead = [self._canary(number) for number in self.canary_ids] if small else []

    def __len__(self) -> int:
        return self.n_records + len(self.canary_ids)

    def __getitem__(self, index: int) -> Any:
        if index < 0:
            index += len(self)
        if index < self.n_records:
            return self.records[index]
        place = index - self.n_records
        return self._made_ahead[place] if self._made_ahead else self._canary(self.canary_ids[place])

    def _canary(self, number: int) -> Any:
        marked = mark(_first(self._template), number)
        if isinstance(self._template, Tensor):
            return marked
        rest = self._template[1:]
        return [marked, *rest] if isinstance(self._template, list) else (marked, *rest)


def _first(item: Any) -> Any:
    return item[0] if isinstance(item, tuple | list) and len(item) > 0 else item


def check_markable(example: Tensor, largest_id: int) -> None:
    """Refuse an input tensor that can't carry a mark and a number.

    Raises
    ------
    ValueError : fewer than three elements, a boolean, complex or unsigned type, or a type too coarse for the number of canaries.
    """
    if example.numel() < 3:
        raise ValueError(f"the first input tensor needs at least 3 elements to carry a canary's number, got shape {tuple(example.shape)}")
    if example.dtype.is_floating_point:
        limit = LARGEST_EXACT.get(example.dtype, 2**24)
    elif example.dtype in (torch.int16, torch.int32, torch.int64):
        limit = torch.iinfo(example.dtype).max
    else:
        raise ValueError(f"the first input tensor must be floating-point or a signed whole number of 16 bits or more, got {example.dtype}")
    if largest_id + 1 > limit:
        raise ValueError(f"{example.dtype} inputs can carry at most {limit} canaries; use float32 inputs or fewer canaries")


def mark(example: Tensor, canary_id: int) -> Tensor:
    """Return a tensor of the example's shape and type that carries the canary's number."""
    marked = torch.full_like(example, canary_id, memory_format=torch.contiguous_format)
    marked.view(-1)[::2] = -canary_id - 1
    marked.view(-1)[0] = _mark_of(example.dtype)
    return marked


def _mark_of(dtype: torch.dtype) -> float | int:
    return float("nan") if dtype.is_floating_point else torch.iinfo(dtype).min


def read_marks(inputs: Tensor, n_canaries: int) -> tuple[Tensor, Tensor]:
    """Say which rows of a batch are canaries, and which ones.

    Parameters
    ----------
    inputs : (batch, ...) tensor as the module receives it.
    n_canaries : numbers run from 0 to n_canaries - 1.

    Returns
    -------
    (places, canary_id) : rows that are canaries, int64; and for every row its canary's number, n_canaries for real records, (batch,) int64.

    Raises
    ------
    ValueError : a marked row does not carry one canary's number.
    """
    canary_id = torch.full((len(inputs),), n_canaries, dtype=torch.int64, device=inputs.device)
    if inputs.numel() == 0:
        return canary_id[:0], canary_id
    rows = inputs.reshape(len(inputs), -1)
    first = rows[:, 0]
    marked = torch.isnan(first) if rows.dtype.is_floating_point else first == _mark_of(rows.dtype)
    places = marked.nonzero().squeeze(1)
    if len(places):
        canary_id[places] = _numbers(rows[places], n_canaries)
    return places, canary_id


def _numbers(marked_rows: Tensor, n_canaries: int) -> Tensor:
    """Return the number that every second element of a marked row holds, checked against the complements between them."""
    intact = marked_rows.shape[1] >= 3
    numbers = marked_rows[:, min(1, marked_rows.shape[1] - 1)].to(torch.int64).clamp_(0, n_canaries - 1)
    wanted = numbers.to(marked_rows.dtype).unsqueeze(1)
    if not intact or not bool((marked_rows[:, 1::2] == wanted).all() & (marked_rows[:, 2::2] == -wanted - 1).all()):
        raise ValueError(
            "a marked row does not carry a canary's number: inputs must reach the module as the data set gave them (only reshaped "
            "or moved), and no real record may start with NaN; do transforms inside the data set or inside the module"
        )
    return numbers


def input_tensor(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Return the tensor that carries the marks: the first argument of the module.

    Raises
    ------
    TypeError : the module's first argument is not a tensor.
    """
    first = args[0] if args else next(iter(kwargs.values()), None)
    if not isinstance(first, Tensor):
        raise TypeError(f"a module under a canary probe must take a tensor as its first argument, got {type(first).__name__}")
    return first
