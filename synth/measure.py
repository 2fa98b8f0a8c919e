"""Noisy counts of marginals: the one place where a synthetic table touches the rows.

Marginal i of c_i cells gets a share p_i of rho and discrete Gaussian noise

    sigma_i = D / sqrt(2 rho p_i)        D = 1 under add/remove (a row is in one cell), sqrt(2) under replacement

    cube_root     p_i ~ c_i^(1/3)        as good for the largest cell as equal shares, better on average: the default
    two_thirds    p_i ~ c_i^(2/3)        least sum of mean absolute errors; spares large marginals at the cost of small ones
    equal         p_i = 1 / m

Answers are whole numbers as they were drawn. They are never clipped: what is cut off below 0 would bias small cells upward. Everything but
the answers (sigmas, shapes, ledger) follows from public arguments alone. Cost: of the exact counts, plus 0.2 to 0.4 us a cell.

Symbols: D L2 sensitivity, p_i share, c_i number of cells, m number of marginals.

References
----------
Canonne, Kamath, Steinke, The Discrete Gaussian for Differential Privacy, NeurIPS 2020. Liu, Tang, Vietri, Wu, Generating Private Synthetic
Data with Genetic Algorithms, ICML 2023. Li, Miklau et al., The Matrix Mechanism, VLDB J. 2015 (shares).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.accounting.ledger import Ledger
from mechanisms.errors import BudgetExhaustedError
from mechanisms.guarantee import Neighboring
from mechanisms.json_ready import JsonValue, json_record
from mechanisms.noise.discrete_gaussian import valid_sigma
from mechanisms.noise.source import NoiseSource, noise_source
from mechanisms.validation import one_dimensional, one_of, positive, same_length
from synth.budget import marginal_sensitivity
from synth.count_source import CountSource
from synth.schema import Schema
from synth.targets import MarginalTarget

SHARES = {"cube_root": 1 / 3, "two_thirds": 2 / 3, "equal": 0.0}
MAX_CELLS = 1_000_000
ROUNDED_UP = 1 + 2.0**-40  # scales are rounded up by more than their float errors
_SUM_OF_SHARES = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class MarginalAnswer:
    """The noisy counts of one marginal.

    Parameters
    ----------
    columns : places of its k columns in the schema, increasing.
    answer : (size of each column) int64, may be negative; copied and read-only.
    sigma : scale of the discrete Gaussian noise of every cell.
    """

    columns: tuple[int, ...]
    answer: NDArray[np.int64]
    sigma: float

    def __init__(self, columns: tuple[int, ...], answer: ArrayLike, sigma: float) -> None:
        kept = np.array(answer, dtype=np.int64)
        if kept.ndim != len(columns):
            raise ValueError(f"answer must have an axis for each of the {len(columns)} columns, got {kept.ndim}")
        kept.flags.writeable = False
        object.__setattr__(self, "columns", tuple(int(column) for column in columns))
        object.__setattr__(self, "answer", kept)
        object.__setattr__(self, "sigma", positive(sigma=sigma))

    def target(self, weight: float = 1.0) -> MarginalTarget:
        """Return what an optimizer fits."""
        return MarginalTarget(self.columns, self.answer, self.sigma, weight)

    def equals(self, other: MarginalAnswer) -> bool:
        """Whether columns, counts and sigma agree."""
        return (self.columns, self.sigma) == (other.columns, other.sigma) and np.array_equal(self.answer, other.answer)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record({"schema_version": 1, "columns": self.columns, "answer": self.answer, "sigma": self.sigma})

    def __reduce__(self) -> tuple[type[MarginalAnswer], tuple[tuple[int, ...], NDArray[np.int64], float]]:
        return type(self), (self.columns, self.answer, self.sigma)


def measure_marginals(
    source: CountSource,
    groups: Sequence[tuple[int, ...]],
    *,
    rho: float,
    neighboring: Neighboring,
    budget: str = "cube_root",
    shares: ArrayLike | None = None,
    max_cells: int = MAX_CELLS,
    noise: NoiseSource | None = None,
    ledger: Ledger | None = None,
) -> list[MarginalAnswer]:
    """Return noisy counts of marginals.

    Parameters
    ----------
    source : the sensitive table.
    groups : columns of each marginal, increasing places in the schema, no marginal twice. The empty group is the number of rows; under
        replacement that is public, and refused.
    rho : > 0, for all of them together.
    neighboring : `ADD_REMOVE` or `REPLACE`.
    budget : how rho is shared: "cube_root", "two_thirds" or "equal".
    shares : p_i of one's own instead, > 0 with sum 1; they must not depend on the data.
    max_cells : most cells that a marginal may have.
    noise : operating-system entropy by default.
    ledger : gets one entry per marginal, before anything is counted.

    Returns
    -------
    One answer per group, in order.

    Raises
    ------
    ValueError, TypeError : a bad parameter, a group twice or too large; messages name columns. Or a source whose counts have other shapes:
        only then the ledger has its entries already.
    BudgetExhaustedError : the ledger has less than rho left.

    Guarantee
    ---------
    rho-zCDP under `neighboring`: marginal i is a vector of whole numbers of L2 sensitivity D with discrete Gaussian noise, that is
    p_i rho-zCDP (Canonne, Kamath, Steinke 2020, theorem 14), and zCDP adds up. With rho from `one_shot_budget` for these shares it is
    (epsilon, delta)-DP. Samplers are within 2^-100 of total variation a cell, which `synth.budget` pays for.

    Examples
    --------
    >>> from synth.schema import Categorical
    >>> class Coins:
    ...     schema, n_rows = Schema((Categorical("coin", ("heads", "tails")),)), 1000
    ...     def marginals(self, groups):
    ...         return [np.array([600, 400]) for _ in groups]
    >>> answer, = measure_marginals(Coins(), [(0,)], rho=0.5, neighboring=Neighboring.ADD_REMOVE)
    >>> round(answer.sigma, 6), bool(np.all(abs(answer.answer - [600, 400]) < 40))
    (1.0, True)
    """
    chosen = valid_groups(groups, source.schema, max_cells=max_cells, neighboring=neighboring)
    sizes, names = source.schema.sizes, source.schema.names
    shapes = [tuple(sizes[column] for column in group) for group in chosen]
    cells = [math.prod(shape) for shape in shapes]
    parts = budget_shares(cells, budget) if shares is None else _own_shares(shares, cells)
    sensitivity = marginal_sensitivity(neighboring)
    sigmas = sensitivity / np.sqrt(2 * positive(rho=rho) * parts) * ROUNDED_UP
    valid_sigma(sigmas.max())
    drawn_from = noise_source(noise)
    if ledger is not None:
        _enter(ledger, rho, [marginal_name(group, names) for group in chosen], sensitivity, sigmas)
    counts = _counted(source, chosen, shapes)
    draws = drawn_from.discrete_gaussian_each(np.repeat(sigmas, cells))
    noisy = np.split(np.concatenate([count.ravel() for count in counts]) + draws, np.cumsum(cells)[:-1])
    kept = zip(chosen, noisy, shapes, sigmas, strict=True)
    return [MarginalAnswer(group, answer.reshape(shape), float(sigma)) for group, answer, shape, sigma in kept]


def budget_shares(n_cells: Sequence[int], budget: str = "cube_root") -> NDArray[np.float64]:
    """Return the share p_i of rho for marginals of c_i cells, shape (m,).

    Parameters
    ----------
    n_cells : c_i >= 1.
    budget : "cube_root", "two_thirds" or "equal".

    Raises
    ------
    ValueError : no marginal, or an unknown budget.

    Examples
    --------
    >>> budget_shares([1, 8, 27]).round(3).tolist()
    [0.167, 0.333, 0.5]
    """
    power = SHARES[one_of(tuple(SHARES), budget=budget)]
    if not len(n_cells):
        raise ValueError("at least one marginal is needed")
    weight = np.asarray(n_cells, dtype=np.float64) ** power
    return np.asarray(weight / weight.sum(), dtype=np.float64)


def weighted_targets(answers: Sequence[MarginalAnswer]) -> list[MarginalTarget]:
    """Return what an optimizer fits, weighted by the noise: w = least sigma / sigma."""
    least = min((answer.sigma for answer in answers), default=0.0)
    return [answer.target(least / answer.sigma) for answer in answers]


def valid_groups(groups: Sequence[tuple[int, ...]], schema: Schema, *, max_cells: int, neighboring: Neighboring) -> list[tuple[int, ...]]:
    """Return the groups, or raise ValueError with the names of the columns at fault."""
    marginal_sensitivity(neighboring)
    if not len(groups):
        raise ValueError("at least one marginal is needed")
    names, sizes = schema.names, schema.sizes
    seen: dict[tuple[int, ...], None] = {}
    for group in groups:
        chosen = tuple(int(column) for column in group)
        if any(not 0 <= column < len(names) for column in chosen) or any(left >= right for left, right in pairwise(chosen)):
            raise ValueError(f"a group must hold increasing places of the schema's {len(names)} columns, got {chosen}")
        name, n_cells = marginal_name(chosen, names), math.prod(sizes[column] for column in chosen)
        if chosen in seen:
            raise ValueError(f"{name} is asked for twice; one answer with the whole budget is better than two")
        if n_cells > max_cells:
            raise ValueError(f"{name} has {n_cells:,} cells, more than max_cells = {max_cells:,}; take coarser columns, or raise max_cells")
        if not chosen and neighboring is Neighboring.REPLACE:
            raise ValueError("the number of rows is public under replace: no budget should be spent on it")
        seen[chosen] = None
    return list(seen)


def marginal_name(group: tuple[int, ...], names: Sequence[str]) -> str:
    """Return how a ledger calls a marginal: "marginal age x sex"."""
    return "marginal " + " x ".join(names[column] for column in group) if group else "number of rows"


def _own_shares(shares: ArrayLike, cells: Sequence[int]) -> NDArray[np.float64]:
    parts = np.asarray(one_dimensional(shares=shares), dtype=np.float64)
    same_length(groups=cells, shares=parts)
    positive(shares=parts.min())
    if abs(parts.sum() - 1) > _SUM_OF_SHARES:
        raise ValueError(f"shares must sum to 1, got {parts.sum():.12g}")
    return parts


def _enter(ledger: Ledger, rho: float, names: Sequence[str], sensitivity: float, sigmas: NDArray[np.float64]) -> None:
    """Enter all marginals or none."""
    if rho > ledger.left * (1 + _SUM_OF_SHARES):
        raise BudgetExhaustedError(f"{len(names)} marginals cost rho {rho:.6g}, but only {ledger.left:.6g} of {ledger.rho:.6g} is left")
    for name, sigma in zip(names, sigmas, strict=True):
        ledger.spend(name, "discrete gaussian", sensitivity=sensitivity, scale=float(sigma))


def _counted(source: CountSource, groups: Sequence[tuple[int, ...]], shapes: Sequence[tuple[int, ...]]) -> list[NDArray[np.int64]]:
    """Return the exact counts: secret."""
    counts = [np.asarray(count, dtype=np.int64) for count in source.marginals(groups)]
    if [count.shape for count in counts] != list(shapes):
        raise ValueError("the source must return the counts of every group in the shape of its columns' sizes")
    return counts
