"""How many records two training sets of different worlds must differ in: the law of K behind a bound of epsilon from an advantage.

Symbols: N records a sample, cells c = (property, label), t_w[c] their probabilities in world w, n_w[c] their counts in a sample of world w,
K records in which two coupled samples differ. In every case K ~ Binomial(n_pairs, chance).

A sample is drawn in three steps that see the world only through its cells: counts n_w, then n_w[c] records of each cell of one pool
without replacement, then a random order. Couple the samples of both worlds by giving them one uniformly random order of each cell's
records, of which each world takes the first n_w[c]. Both samples are then as they should be, and share min(n_0[c], n_1[c]) records of cell
c. So K = N - sum_c min(n_0[c], n_1[c]) records of the one are replaced in the other, and one random order of the places, common to both,
keeps the shared records where they are.

    iid     each of the N places draws its cell from t_w. Maximal coupling, place by place: cells differ with probability
            chance = TV(t_0, t_1) = sum_c max(t_1[c] - t_0[c], 0), independently. Places with equal cells are counted in both n_0[c] and
            n_1[c], so K is at most the number of places that differ, which is Binomial(N, chance).
    quota   n_w[c] are fixed numbers, so K = sum_c max(n_1[c] - n_0[c], 0) is one: Binomial(K, 1).

The advantage of any attack on a model trained on the samples is at most E_K of the total variation between models of sets that differ in K
records (convexity of total variation), which a differential privacy of the training bounds by group privacy; that bound grows with K, so
one that is too large only weakens it. Rates (alpha_0, alpha_1) alone would not do for `chance`: it is |alpha_1 - alpha_0| only where no
label's share of the property moves the other way, so it is taken from the cells.

References
----------
Dwork, Roth, The Algorithmic Foundations of Differential Privacy, 2014, section 2.3 (group privacy).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mechanisms.validation import in_range, whole_number


@dataclass(frozen=True, slots=True)
class Coupling:
    """K ~ Binomial(n_pairs, chance): in how many records two training sets differ, coupled as closely as proved.

    Parameters
    ----------
    n_pairs : pairs of records that may differ, >= 0.
    chance : probability that a pair differs, in [0, 1].
    """

    n_pairs: int
    chance: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_pairs", whole_number(n_pairs=self.n_pairs))
        object.__setattr__(self, "chance", in_range(0, 1, closed="both", chance=self.chance))

    @property
    def mean(self) -> float:
        """Expected number of records that differ."""
        return self.n_pairs * self.chance


def coupled_draws(law_0: ArrayLike, law_1: ArrayLike, n_train: int) -> Coupling:
    """Return the coupling of samples of n_train independent draws from the cells' probabilities of each world ("iid").

    Examples
    --------
    >>> coupled_draws([[0.25, 0.25], [0.25, 0.25]], [[0.375, 0.375], [0.125, 0.125]], 100)
    Coupling(n_pairs=100, chance=0.25)
    """
    first, second = (np.asarray(law, dtype=np.float64) for law in (law_0, law_1))
    if first.shape != second.shape or min(first.min(), second.min()) < 0 or not np.allclose([first.sum(), second.sum()], 1, atol=1e-9):
        raise ValueError(f"both laws must be probabilities of the same cells, got shapes {first.shape} and {second.shape}")
    return Coupling(n_train, min(float(np.maximum(second - first, 0).sum()), 1.0))


def coupled_quotas(counts_0: ArrayLike, counts_1: ArrayLike) -> Coupling:
    """Return the coupling of samples with fixed counts of each cell ("quota").

    Examples
    --------
    >>> coupled_quotas([[25, 25], [25, 25]], [[40, 40], [10, 10]])
    Coupling(n_pairs=30, chance=1.0)
    """
    first, second = (np.asarray(counts) for counts in (counts_0, counts_1))
    if first.shape != second.shape or first.sum() != second.sum():
        raise ValueError(f"both worlds must fill the same cells with as many records, got {first.sum()} and {second.sum()} records")
    return Coupling(int(np.maximum(second - first, 0).sum()), 1.0)
