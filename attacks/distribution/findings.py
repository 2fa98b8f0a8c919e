"""What may make a game's figures mean something else than a leak of the ratio: training sizes that show the world, answers all alike.

References
----------
Hartmann et al., Distribution Inference Risks: Identifying and Mitigating Sources of Leakage, SaTML 2023.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from attacks.canaries.finding import Finding
from attacks.scores import AttackCounts

Sizes = NDArray[np.int64]

SURE = 5.0  # standard errors


def size_findings(worlds: Sequence[float], sizes: Sequence[Sizes] | Sizes, what: str = "training records") -> tuple[Finding, ...]:
    """Say whether the number of records (or of updates) of victims depends on the world.

    Parameters
    ----------
    worlds, sizes : the worlds, and for each the numbers of its victims.
    what : is counted.

    Returns
    -------
    Nothing where all numbers are equal; "size_side_channel" where the means of two worlds are more than 5 standard errors apart;
    else "size_varies": sizes that differ from model to model, too alike in all worlds to tell them.

    Examples
    --------
    >>> [finding.name for finding in size_findings((0.5, 0.2), np.array([[1000, 1000], [400, 400]]))]
    ['size_side_channel']
    """
    every = np.concatenate(list(sizes))
    if np.all(every == every[0]):
        return ()
    means = [float(part.mean()) for part in sizes]
    low, high = int(np.argmin(means)), int(np.argmax(means))
    seen = f"{means[low]:g} {what} on average in world {worlds[low]:g}, {means[high]:g} in world {worlds[high]:g}"
    error = float(np.hypot(_standard_error(sizes[low]), _standard_error(sizes[high])))
    if means[high] - means[low] > SURE * error:
        text = f"size side channel: {seen}; a model's outputs show its training size, so part of the accuracy is of the size; fix it"
        return (Finding("size_side_channel", "warning", text),)
    text = f"{what} vary from model to model ({every.min()} to {every.max()}; {seen}); fix them, or attacks may find the size"
    return (Finding("size_varies", "warning", text),)


def one_sided_findings(name: str, counts: AttackCounts) -> tuple[Finding, ...]:
    """Say that an attack gave all victims one answer, which makes its accuracy 1/2 whatever the worlds."""
    guessed_1, all_victims = counts.tp + counts.fp, counts.n_members + counts.n_non_members
    if 0 < guessed_1 < all_victims:
        return ()
    world = 1 if guessed_1 else 0
    text = f"{name} answers world {world} for all {all_victims} victims, so its accuracy is 1/2; its cut fits shadow models only"
    return (Finding("one_sided_answers", "warning", text),)


def _standard_error(values: Sizes) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
