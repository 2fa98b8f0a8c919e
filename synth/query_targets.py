"""What the optimizers for arbitrary queries get and give back.

symbols: families f with T_f queries, concatenated     w_q weight     c_q(Z) counts over n' rows     y_q noisy answers over n rows

    F(Z) = sum_q w_q (c_q(Z) - (n' / n) y_q)^2        E_q = w_q (c_q(Z) - (n' / n) y_q)        changing answers by d_q in {-1, 0, 1}
    changes F by sum_q 2 d_q E_q + d_q^2 w_q

The half of a change carries noise of variance sum_q d_q^2 u_q, u_q = (w_q (n' / n) sigma_q)^2: gains below lambda standard deviations of it
are as likely noise as structure (`min_gain` = lambda; 0 takes every gain). Post-processing of noisy answers: costs no privacy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.validation import non_negative, positive
from synth.encoded import Codes, EncodedTable, Positions
from synth.queries.family import QueryFamily

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class FamilyTarget:
    """The noisy answers of one family.

    Parameters
    ----------
    family : whose answers they are.
    answer : noisy counts, shape (T,); may be negative.
    sigma : standard deviation of the noise of an answer, >= 0.
    weight : w > 0; squared residuals are multiplied by it.

    Raises
    ------
    ValueError : an answer of another shape or not finite, or sigma or weight out of range.
    """

    family: QueryFamily
    answer: Floats
    sigma: float
    weight: float = 1.0

    def __init__(self, family: QueryFamily, answer: ArrayLike, sigma: float, weight: float = 1.0) -> None:
        if not isinstance(family, QueryFamily):
            raise TypeError(f"family must have the members of QueryFamily, got {type(family).__name__}; bind a workload to a schema first")
        kept = np.array(answer, dtype=np.float64)
        if kept.shape != (family.n_queries,):
            raise ValueError(f"answer must have shape ({family.n_queries},), one for each query, got {kept.shape}")
        if not np.isfinite(kept).all():
            raise ValueError("answer must be finite")
        kept.flags.writeable = False
        object.__setattr__(self, "family", family)
        object.__setattr__(self, "answer", kept)
        object.__setattr__(self, "sigma", non_negative(sigma=sigma))
        object.__setattr__(self, "weight", positive(weight=weight))

    def __reduce__(self) -> tuple[type[FamilyTarget], tuple[QueryFamily, Floats, float, float]]:
        return type(self), (self.family, self.answer, self.sigma, self.weight)


@dataclass(frozen=True, slots=True, eq=False)
class QueryFit:
    """A fitted table.

    Parameters
    ----------
    codes : (n', d).
    positions : (n', d) in [0, 1], consistent with codes; None where no family reads them.
    fitness : F(Z) / n'^2, recomputed from scratch at the end.
    noise_energy : what F / n'^2 is expected to be for the true table: sum of w sigma^2 over all queries, / n^2.
    history : fitness at the start and after each sweep (each refresh of the genetic algorithm).
    stopped : why the fit ended: "converged", "noise_floor", "max_sweeps", "max_generations".
    """

    codes: Codes
    positions: Positions | None
    fitness: float
    noise_energy: float
    history: tuple[float, ...]
    stopped: str

    def __post_init__(self) -> None:
        kept = EncodedTable(self.codes, self.positions)
        object.__setattr__(self, "codes", kept.codes)
        object.__setattr__(self, "positions", kept.positions)

    def __reduce__(self) -> tuple[type[QueryFit], tuple[Codes, Positions | None, float, float, tuple[float, ...], str]]:
        return type(self), (self.codes, self.positions, self.fitness, self.noise_energy, self.history, self.stopped)

    def table(self) -> EncodedTable:
        """Return the rows as a table of which queries can be asked."""
        return EncodedTable(self.codes, self.positions)


class Objective:
    """F for a list of targets, with the vectors that its changes need; T numbers each.

    Parameters
    ----------
    targets : at least one.
    n_rows : n'.
    total : n, exact if public, else noisy.
    """

    def __init__(self, targets: Sequence[FamilyTarget], n_rows: int, total: float) -> None:
        if not targets:
            raise ValueError("targets must not be empty")
        self.families = tuple(target.family for target in targets)
        self.n_rows = n_rows
        self.scale = n_rows / positive(total=total)
        sizes = [family.n_queries for family in self.families]
        self.wanted = self.scale * np.concatenate([target.answer for target in targets])
        self.weight = np.repeat([target.weight for target in targets], sizes)
        self.sigma = np.repeat([target.sigma for target in targets], sizes)
        self.variance = (self.weight * self.scale * self.sigma) ** 2
        self.noise_energy = float(self.weight @ self.sigma**2) / total**2
        self.needs_positions = any(family.needs_positions for family in self.families)

    def counts(self, codes: Codes, positions: Positions | None) -> Floats:
        """Return c(Z), from scratch."""
        table = EncodedTable(codes, positions)
        return np.concatenate([np.asarray(family.answers(table), dtype=np.float64) for family in self.families])

    def row_answers(self, codes: Codes, positions: Positions | None) -> NDArray[np.bool_]:
        """Return which queries each of m rows meets, (m, T)."""
        return np.concatenate([family.row_answers(codes, positions) for family in self.families], axis=1)

    def residual(self, counts: Floats) -> Floats:
        """Return E."""
        return np.asarray(self.weight * (counts - self.wanted))

    def fitness(self, counts: Floats) -> float:
        """Return F / n'^2."""
        return float(self.weight @ (counts - self.wanted) ** 2) / self.n_rows**2
