"""Noisy counts of any family of 0/1 queries: one release, one scale.

All T answers together get discrete Gaussian noise of sigma = D / sqrt(2 rho), D the family's L2 sensitivity under the neighboring relation:
sqrt(T) in general, less where queries exclude each other. Prefixes and ranges are better derived from a noisy tree (D = sqrt(2 L) for L
levels) than asked one by one.

References
----------
Canonne, Kamath, Steinke, The Discrete Gaussian for Differential Privacy, NeurIPS 2020.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.accounting.ledger import Ledger
from mechanisms.guarantee import Neighboring, valid_neighboring
from mechanisms.json_ready import JsonValue, json_record
from mechanisms.noise.discrete_gaussian import valid_sigma
from mechanisms.noise.source import NoiseSource, noise_source
from mechanisms.validation import one_dimensional, positive
from synth.encoded import EncodedTable
from synth.measure import ROUNDED_UP
from synth.queries.family import QueryFamily


@dataclass(frozen=True, slots=True, eq=False)
class FamilyAnswer:
    """The noisy counts of a family.

    Parameters
    ----------
    answer : (T,) int64, may be negative; copied and read-only.
    sigma : scale of the discrete Gaussian noise of every answer.
    centered : whether the answers are 2 c - n instead of counts c.
    """

    answer: NDArray[np.int64]
    sigma: float
    centered: bool = False

    def __init__(self, answer: ArrayLike, sigma: float, centered: bool = False) -> None:
        kept = np.array(one_dimensional(answer=answer), dtype=np.int64)
        kept.flags.writeable = False
        object.__setattr__(self, "answer", kept)
        object.__setattr__(self, "sigma", positive(sigma=sigma))
        object.__setattr__(self, "centered", bool(centered))

    def counts(self, total: float) -> tuple[NDArray[np.float64], float]:
        """Return noisy counts, (T,), and their sigma; centered answers take the number of rows, or its noisy estimate."""
        if not self.centered:
            return self.answer.astype(np.float64), self.sigma
        return np.asarray((self.answer + total) / 2, dtype=np.float64), self.sigma / 2

    def equals(self, other: FamilyAnswer) -> bool:
        """Whether answers, sigma and kind agree."""
        return (self.sigma, self.centered) == (other.sigma, other.centered) and np.array_equal(self.answer, other.answer)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record({"schema_version": 1, "answer": self.answer, "sigma": self.sigma, "centered": self.centered})

    def __reduce__(self) -> tuple[type[FamilyAnswer], tuple[NDArray[np.int64], float, bool]]:
        return type(self), (self.answer, self.sigma, self.centered)


def measure_family(
    family: QueryFamily,
    table: EncodedTable,
    *,
    rho: float,
    neighboring: Neighboring,
    step: str = "queries",
    centered: bool = False,
    noise: NoiseSource | None = None,
    ledger: Ledger | None = None,
) -> FamilyAnswer:
    """Return noisy counts of all queries of a family.

    Parameters
    ----------
    family : queries that don't depend on the table.
    table : the sensitive rows.
    rho : > 0, for all answers together.
    neighboring : a relation that the family knows.
    step : what the ledger calls it.
    centered : release 2 c - n instead of counts c, under add/remove only; see `centering_pays`.
    noise : operating-system entropy by default.
    ledger : gets one entry before anything is counted.

    Raises
    ------
    ValueError, TypeError : a bad parameter, a table without the positions that the family reads, or answers that aren't T whole numbers.
    BudgetExhaustedError : the ledger has less than rho left; nothing is counted then.

    Guarantee
    ---------
    rho-zCDP under `neighboring`: whole numbers of L2 sensitivity D with discrete Gaussian noise (Canonne, Kamath, Steinke 2020, theorem
    14), provided that D is what the family says it is. Samplers are within 2^-100 of total variation an answer.
    """
    if family.needs_positions and table.positions is None:
        raise ValueError("the family reads positions and the table has none; encode it with positions")
    sensitivity = family_sensitivity(family, neighboring, centered=centered)
    sigma = valid_sigma(sensitivity / math.sqrt(2 * positive(rho=rho)) * ROUNDED_UP)
    drawn_from = noise_source(noise)
    if ledger is not None:
        ledger.spend(step, "discrete gaussian", sensitivity=sensitivity, scale=sigma)
    counts = np.asarray(family.answers(table), dtype=np.float64)
    whole = np.rint(counts)
    if counts.shape != (family.n_queries,) or not (whole == counts).all():
        raise ValueError(f"the family must answer with {family.n_queries} whole numbers; only counts can get discrete noise")
    exact = 2 * whole.astype(np.int64) - table.n_rows if centered else whole.astype(np.int64)
    return FamilyAnswer(exact + drawn_from.discrete_gaussian(sigma, family.n_queries), sigma, centered)


def family_sensitivity(family: QueryFamily, neighboring: Neighboring, *, centered: bool) -> float:
    """Return the L2 sensitivity of the counts c, or of 2 c - n for 0/1 queries: sqrt(T), since a row adds 1 or -1 to each of them.

    Raises
    ------
    ValueError : centered answers under replacement, where n doesn't change and nothing is won.
    """
    if not centered:
        return positive(sensitivity=family.sensitivity(valid_neighboring(neighboring)))
    if valid_neighboring(neighboring) is not Neighboring.ADD_REMOVE:
        raise ValueError("centered answers are for add_remove neighbors")
    return math.sqrt(family.n_queries)


def centering_pays(family: QueryFamily, neighboring: Neighboring) -> bool:
    """Say whether 2 c - n has less noise a count than c: half of it for any 0/1 queries without structure, under add/remove.

    A row of unknown answers moves c by anything in {0, 1}^T, of norm sqrt(T) at most, but c - n / 2 by {-1/2, 1/2}^T, of norm sqrt(T) / 2.
    The price is an estimate of n, which one-way marginals give. A family that says it moves by more than sqrt(T) is not of 0/1 queries:
    the bound on 2 c - n would not hold for it.
    """
    if neighboring is not Neighboring.ADD_REMOVE:
        return False
    norm, own = family_sensitivity(family, neighboring, centered=True), family.sensitivity(neighboring)
    return norm / 2 < 0.9 * own and own <= norm * ROUNDED_UP
