"""Private-GSD's genetic algorithm: fits a table to noisy answers of any queries, one accepted change at a time.

A generation makes 50 candidates with one operator (`synth.genetic_operators`), computes the change of the objective for each from the
answers of the rows that it changes, and takes the best if it gains. Operators are chosen by exponential weights: rate 0.1, a reward of
1 / probability for an accepted candidate, 5 % uniform choice. Every max(100, n') generations weights start again, and the fit ends if
fitness fell by less than 1e-4 of itself meanwhile. The published algorithm has min_gain = 0
and takes every gain.

Queries may be anything; `synth.moves` takes about a fifth of the time where conditions are thresholds on sums. The published elite archive
is left out: its members are never used for proposals.

symbols: as `synth.query_targets`; memory n' T bytes for the rows' answers     Cost of a generation: 50 row answers, 50 T additions.

References
----------
Liu, Tang, Vietri, Wu, Generating Private Synthetic Data with Genetic Algorithms, ICML 2023.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import non_negative, whole_number
from synth.encoded import Codes, EncodedTable, Positions
from synth.forbidden import ForbiddenCells, Rule
from synth.genetic_operators import Operators, Proposal
from synth.query_start import start_rows
from synth.query_targets import FamilyTarget, Objective, QueryFit
from synth.schema import Schema
from synth.sweeps import Progress

N_CANDIDATES = 50
_RATE = 0.1
_UNIFORM = 0.05
_LEAST_CHANGE = 1e-4


def fit_genetic(
    targets: Sequence[FamilyTarget],
    schema: Schema,
    *,
    n_rows: int,
    total: float,
    start: EncodedTable | None = None,
    max_generations: int = 200_000,
    min_gain: float = 1.0,
    noise_floor: float | None = None,
    forbidden: Sequence[Rule] = (),
    rng: RngLike = None,
    progress: Progress | None = None,
) -> QueryFit:
    """Fit n_rows rows to noisy answers of any families.

    Parameters
    ----------
    targets, schema, n_rows, total, start, min_gain, noise_floor, forbidden, rng : as `synth.moves.fit_moves`; families may be any.
    max_generations : generations at most.
    progress : called with (generations done, max_generations, "generations") every max(100, n') generations.

    Returns
    -------
    The fit; the same for the same rng.

    Raises
    ------
    ValueError, TypeError : an argument out of range, a start of another shape, or a family whose `answers` is not the sum of its
        `row_answers`.

    Guarantee
    ---------
    Reads noisy answers only: post-processing.

    Examples
    --------
    >>> from synth.queries.marginals import Marginals
    >>> from synth.schema import Categorical
    >>> schema = Schema((Categorical("sex", ("f", "m")), Categorical("vote", ("yes", "no"))))
    >>> target = FamilyTarget(Marginals(k=2).bind(schema), [40.0, 0.0, 10.0, 50.0], sigma=0.0)
    >>> fit_genetic([target], schema, n_rows=10, total=100, rng=0).fitness
    0.0
    """
    rng = as_generator(rng)
    n_rows, max_generations = whole_number(1, n_rows=n_rows), whole_number(1, max_generations=max_generations)
    objective = Objective(targets, n_rows, total)
    codes, positions = start_rows(schema, n_rows, start, objective.needs_positions, forbidden, rng)
    population = Population(objective, codes, positions, min_gain)
    operators = Operators(schema, n_rows, objective.needs_positions, rng)
    floor = -1.0 if noise_floor is None else non_negative(noise_floor=noise_floor) * objective.noise_energy
    rules = ForbiddenCells(forbidden, schema.sizes)
    choice = OperatorChoice(list(operators.available), rng)
    history, stopped, period = [population.fitness], "max_generations", max(100, n_rows)
    for generation in range(1, max_generations + 1):
        if population.fitness <= floor:
            stopped = "noise_floor"
            break
        name = choice.draw()
        proposal = operators.available[name](population.codes, population.positions, N_CANDIDATES)
        choice.reward(name, population.improve(proposal, rules))
        if generation % period == 0:
            choice.restart()
            history.append(population.fitness)
            if progress is not None:
                progress(generation, max_generations, "generations")
            if history[-2] - history[-1] < _LEAST_CHANGE * history[-2] or history[-1] == 0:
                stopped = "converged"
                break
    fitness = objective.fitness(objective.counts(population.codes, population.positions))
    return QueryFit(population.codes, population.positions, fitness, objective.noise_energy, tuple(history), stopped)


class Population:
    """The table with the answers of its rows.

    Parameters
    ----------
    objective : F.
    codes, positions : of the start, changed in place.
    min_gain : lambda.
    """

    def __init__(self, objective: Objective, codes: Codes, positions: Positions | None, min_gain: float) -> None:
        self.codes, self.positions = codes, positions
        self._objective = objective
        self._noise = (2 * non_negative(min_gain=min_gain)) ** 2 * objective.variance
        self._met = objective.row_answers(codes, positions)
        self._counts = self._met.sum(axis=0).astype(np.float64)
        if not np.array_equal(self._counts, objective.counts(codes, positions)):
            raise ValueError("targets: the answers of a family are not the sums of its row_answers; correct the family")

    @property
    def fitness(self) -> float:
        """Return F / n'^2."""
        return self._objective.fitness(self._counts)

    def changes(self, proposal: Proposal) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return each candidate's change of F, and the standard deviations of noise that it must exceed; both (m,)."""
        difference = self._difference(proposal)
        squared = difference * difference
        change = difference @ (2 * self._objective.residual(self._counts)) + squared @ self._objective.weight
        return change, np.sqrt(squared @ self._noise)

    def improve(self, proposal: Proposal, rules: ForbiddenCells) -> bool:
        """Take the best candidate if it gains more than its noise; return whether it did."""
        change, noise = self.changes(proposal)
        penalized = change + noise
        if len(rules):
            m, r, d = proposal.codes.shape
            bad = rules.violations(proposal.codes.reshape(-1, d)).reshape(m, r).any(axis=1)
            penalized = np.where(bad, np.inf, penalized)
        best = int(np.argmin(penalized))
        if not penalized[best] < 0:
            return False
        rows = proposal.rows[best]
        self.codes[rows] = proposal.codes[best]
        if self.positions is not None and proposal.positions is not None:
            self.positions[rows] = proposal.positions[best]
        self._counts -= self._met[rows].sum(axis=0)
        self._met[rows] = self._objective.row_answers(self.codes[rows], None if self.positions is None else self.positions[rows])
        self._counts += self._met[rows].sum(axis=0)
        return True

    def _difference(self, proposal: Proposal) -> NDArray[np.float64]:
        """Return how each candidate changes the counts, (m, T)."""
        m, r, d = proposal.codes.shape
        positions = None if proposal.positions is None else proposal.positions.reshape(-1, d)
        new = self._objective.row_answers(proposal.codes.reshape(-1, d), positions).reshape(m, r, -1)
        difference = np.zeros((m, new.shape[2]))
        for i in range(r):
            difference += new[:, i]
            difference -= self._met[proposal.rows[:, i]]
        return difference


class OperatorChoice:
    """Exponential weights over operators.

    Parameters
    ----------
    names : of the operators.
    rng : of the draws.
    """

    def __init__(self, names: Sequence[str], rng: np.random.Generator) -> None:
        self._names, self._rng = list(names), rng
        self.restart()

    def restart(self) -> None:
        """Forget all rewards."""
        self._log_weights = np.zeros(len(self._names))

    def probabilities(self) -> NDArray[np.float64]:
        """Return the probability of each operator."""
        weights = np.exp(self._log_weights - self._log_weights.max())
        return np.asarray((1 - _UNIFORM) * weights / weights.sum() + _UNIFORM / len(weights))

    def draw(self) -> str:
        """Draw an operator."""
        return self._names[int(self._rng.choice(len(self._names), p=self.probabilities()))]

    def reward(self, name: str, accepted: bool) -> None:
        """Raise the weight of an operator whose candidate was accepted."""
        if accepted:
            place = self._names.index(name)
            self._log_weights[place] += _RATE / self.probabilities()[place]
