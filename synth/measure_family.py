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
    """

    answer: NDArray[np.int64]
    sigma: float

    def __init__(self, answer: ArrayLike, sigma: float) -> None:
        kept = np.array(one_dimensional(answer=answer), dtype=np.int64)
        kept.flags.writeable = False
        object.__setattr__(self, "answer", kept)
        object.__setattr__(self, "sigma", positive(sigma=sigma))

    def equals(self, other: FamilyAnswer) -> bool:
        """Whether counts and sigma agree."""
        return self.sigma == other.sigma and np.array_equal(self.answer, other.answer)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record({"schema_version": 1, "answer": self.answer, "sigma": self.sigma})

    def __reduce__(self) -> tuple[type[FamilyAnswer], tuple[NDArray[np.int64], float]]:
        return type(self), (self.answer, self.sigma)


def measure_family(
    family: QueryFamily,
    table: EncodedTable,
    *,
    rho: float,
    neighboring: Neighboring,
    step: str = "queries",
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
    sensitivity = positive(sensitivity=family.sensitivity(valid_neighboring(neighboring)))
    sigma = valid_sigma(sensitivity / math.sqrt(2 * positive(rho=rho)) * ROUNDED_UP)
    drawn_from = noise_source(noise)
    if ledger is not None:
        ledger.spend(step, "discrete gaussian", sensitivity=sensitivity, scale=sigma)
    counts = np.asarray(family.answers(table), dtype=np.float64)
    whole = np.rint(counts)
    if counts.shape != (family.n_queries,) or not (whole == counts).all():
        raise ValueError(f"the family must answer with {family.n_queries} whole numbers; only counts can get discrete noise")
    return FamilyAnswer(whole.astype(np.int64) + drawn_from.discrete_gaussian(sigma, family.n_queries), sigma)
