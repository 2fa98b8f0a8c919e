"""The objective and the moves of a fit, by recomputation from the rows: slow, and short enough to be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from synth.encoded import Codes
from synth.sweeps import Task
from synth.targets import MarginalTarget


def recounted(codes: Codes, columns: Sequence[int], shape: Sequence[int]) -> NDArray[np.float64]:
    counts = np.zeros(shape)
    np.add.at(counts, tuple(codes[:, column] for column in columns), 1)
    return counts


def objective(codes: Codes, targets: Sequence[MarginalTarget], total: float) -> float:
    scale = len(codes) / total
    return sum(t.weight * float(((recounted(codes, t.columns, t.answer.shape) - scale * t.answer) ** 2).sum()) for t in targets)


def with_value(codes: Codes, row: int, column: int, value: int) -> Codes:
    changed = codes.copy()
    changed[row, column] = value
    return changed


def move_changes(task: Task, codes: Codes, row: int) -> NDArray[np.float64]:
    """Change of F by every move of a row, (D,), as `changes` of the engines."""
    now = objective(codes, task.targets, task.total)
    moves = [(i, b) for i, size in enumerate(task.sizes) for b in range(size)]
    return np.array([objective(with_value(codes, row, i, b), task.targets, task.total) - now for i, b in moves])


Changes = Callable[[Task, Codes, int], NDArray[np.float64]]


def naive_sweep(task: Task, codes: Codes, order: NDArray[np.int64], min_gain: float, changes: Changes = move_changes) -> Codes:
    """Visit the rows in this order; each makes its best move among those worth more than 2 h_i."""
    codes = codes.copy()
    column = np.repeat(np.arange(len(task.sizes)), task.sizes)
    code = np.concatenate([np.arange(size) for size in task.sizes])
    least = 2 * np.maximum(task.least_gains(min_gain), 1e-9)[column]
    for row in order:
        change = changes(task, codes, row)
        change[change >= -least] = 0
        for rule, strides in zip(task.rules.columns, _rule_strides(task), strict=True):
            for q, (i, b) in enumerate(zip(column, code, strict=True)):
                cell = with_value(codes, row, i, b)[row, list(rule)] @ strides
                if i in rule and task.rules.mask[task.rules.start[task.rules.columns.index(rule)] + cell]:
                    change[q] = 0
        best = int(change.argmin())
        if change[best] < 0:
            codes[row, column[best]] = code[best]
    return codes


def _rule_strides(task: Task) -> list[NDArray[np.int64]]:
    return [task.rules.stride[a:b] for a, b in zip(task.rules.first[:-1], task.rules.first[1:], strict=True)]


def moved_with_a_wrong_sign(task: Task, codes: Codes, row: int) -> NDArray[np.float64]:
    """A broken twin of the formula: the term of the moved row itself is subtracted."""
    own = np.zeros(len(task.sizes))
    for target in task.targets:
        own[list(target.columns)] += target.weight
    change = move_changes(task, codes, row) - 4 * np.repeat(own, task.sizes)
    change[np.cumsum([0, *task.sizes[:-1]]) + codes[row]] = 0
    return change
