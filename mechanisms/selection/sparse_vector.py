"""The sparse vector technique: which of a stream of queries exceed a threshold; only the ones that do cost budget.

    zeta ~ Lap(D / eps1), once;  nu_i ~ Lap(2 c D / eps2), for every query (c D / eps2 if the queries are monotone);
    query i fires if q_i + nu_i >= T + zeta; after c firings the object refuses.

This is Lyu, Su, Li (2017, algorithm 1 and its generalization), with their best split eps1 : eps2 = 1 : (2 c)^(2/3), monotone 1 : c^(2/3).
Where the value of a firing query is wanted, it gets noise of its own, Lap(c D / eps3): the noisy value of the test is never released.

Arithmetic. Values and threshold are rounded, exactly, to multiples of a grid g that divides D; rounding then keeps the sensitivity, D / g
multiples, because it commutes with whole shifts. Noise is discrete Laplace in units of g, drawn by the exact rational sampler: the
comparison is between whole numbers, no float decides, delta is 0.

Symbols: D sensitivity, c max_firings, T threshold, zeta noise of the threshold, nu noise of a query. Cost: about 0.1 ms a query.

References
----------
Dwork, Naor, Reingold, Rothblum, Vadhan, On the Complexity of Differentially Private Data Release, STOC 2009. Lyu, Su, Li, Understanding
the Sparse Vector Technique for Differential Privacy, VLDB 2017. Canonne, Kamath, Steinke, The Discrete Gaussian for Differential
Privacy, NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from threading import Lock
from typing import NoReturn

from mechanisms.continual.state_arrays import SecretState
from mechanisms.errors import BudgetExhaustedError, StateError
from mechanisms.guarantee import Neighboring, PrivacyGuarantee, valid_neighboring
from mechanisms.noise.discrete_laplace import exact_discrete_laplace
from mechanisms.noise.source import NoiseSource, noise_assumptions, noise_source
from mechanisms.validation import in_range, non_negative, positive, whole_number

_GRIDS_A_SENSITIVITY = 1024
_SHARE_DENOMINATOR = 1000


@dataclass(frozen=True, slots=True)
class SparseVectorScales:
    """Scales of the discrete Laplace noise, in units of the grid; `answer` is None where no values are released. All public."""

    threshold: Fraction
    query: Fraction
    answer: Fraction | None


@dataclass(frozen=True, slots=True)
class SparseVectorAnswer:
    """Whether the query fired, and, if so and if asked for at construction, a noisy value with noise of its own."""

    fired: bool
    value: float | None = None


class SparseVector:
    """Say of each query whether its value is above a threshold, until `max_firings` were.

    Parameters
    ----------
    threshold : finite, public.
    epsilon : > 0, nats, for all tests together.
    max_firings : c >= 1.
    sensitivity : D > 0, the most that one query's value can change between neighbors.
    neighboring : the relation of that sensitivity.
    monotone : whether a neighboring step moves all queries' values the same way; refused under replacement.
    answer_epsilon : nats for the values of the firing queries together; 0 releases no values.
    grid : what values are rounded to; must divide D. None is D / 1024. Whole-number queries of sensitivity 1 may take 1.
    privacy_unit : what a neighboring step changes.
    noise : where the noise comes from; None is the operating system.

    Raises
    ------
    ValueError, TypeError : a parameter out of its range, or a grid that doesn't divide the sensitivity.

    Guarantee
    ---------
    (epsilon + answer_epsilon)-DP for any number of adaptively chosen queries (Lyu, Su, Li 2017, theorems 2 and 3). Sketch: shift zeta by
    D for a factor exp(eps1), under which every query that stays silent does so for the neighbor, too; shift nu of each of the c firing
    queries by 2 D (monotone: D) for exp(eps2 / c) each. Both shifts are whole multiples of the grid. Answers: c releases of eps3 / c.

    Notes
    -----
    The object holds the secret noise of the threshold. It can't be copied or pickled: two copies would spend the budget twice.

    Examples
    --------
    >>> test = SparseVector(100.0, epsilon=2.0, max_firings=1, sensitivity=1.0, neighboring=Neighboring.ADD_REMOVE)
    >>> test.ask(-900.0).fired, test.ask(1100.0).fired, test.remaining_
    (False, True, 0)
    """

    def __init__(
        self,
        threshold: float,
        *,
        epsilon: float,
        max_firings: int,
        sensitivity: float,
        neighboring: Neighboring,
        monotone: bool = False,
        answer_epsilon: float = 0.0,
        grid: float | None = None,
        privacy_unit: str = "record",
        noise: NoiseSource | None = None,
    ) -> None:
        if monotone and valid_neighboring(neighboring) is Neighboring.REPLACE:
            raise ValueError("monotone must be False under replace: a replaced record can raise one query and lower another")
        self._grid = _valid_grid(grid, sensitivity)
        self.scales = sparse_vector_scales(
            epsilon=epsilon,
            max_firings=max_firings,
            steps=Fraction(sensitivity) / self._grid,
            monotone=monotone,
            answer_epsilon=answer_epsilon,
        )
        level = self._multiple(in_range(float("-inf"), float("inf"), threshold=threshold))
        self._noise = noise_source(noise)
        total = positive(epsilon=epsilon) + non_negative(answer_epsilon=answer_epsilon)
        self.guarantee = PrivacyGuarantee(total, 0.0, neighboring, privacy_unit, "sparse vector", noise_assumptions(self._noise))
        self.max_firings = whole_number(1, max_firings=max_firings)
        self.n_asked_ = 0
        self.n_fired_ = 0
        self._lock = Lock()
        self._level = level + exact_discrete_laplace(self.scales.threshold, self._noise.words)

    @property
    def rho(self) -> float:
        """The zCDP parameter of the whole, epsilon^2 / 2 as for any pure mechanism."""
        return self.guarantee.epsilon**2 / 2

    @property
    def secure_noise(self) -> bool:
        """False if the noise came from a seed; then nothing is protected."""
        return self._noise.secure

    @property
    def remaining_(self) -> int:
        """Firings that are left."""
        return self.max_firings - self.n_fired_

    def ask(self, value: float) -> SparseVectorAnswer:
        """Test one query's true value, and count it if it fires.

        Raises
        ------
        BudgetExhaustedError : `max_firings` queries have fired; nothing about the value is used.
        ValueError, TypeError : the value is not a finite number; nothing is drawn. That the call fails depends on the data: clip first.
        """
        with self._lock:
            if self.remaining_ == 0:
                raise BudgetExhaustedError(f"all {self.max_firings} firings are spent; start a new SparseVector with a budget of its own")
            multiple = self._multiple(_finite(value))
            fired = multiple + exact_discrete_laplace(self.scales.query, self._noise.words) >= self._level
            self.n_asked_ += 1
            self.n_fired_ += fired
            return SparseVectorAnswer(fired, self._released(multiple) if fired else None)

    def state_dict(self) -> SecretState:
        """Return the state, JSON-ready, with the noisy threshold in it: keep it as secret as the data, and go on from it once."""
        with self._lock:
            return SecretState(n_seen=self.n_asked_, n_fired=self.n_fired_, level=str(self._level))

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on where `state_dict` stood; the parameters must be those of the state.

        Raises
        ------
        StateError : this object has been asked something already.
        ValueError, KeyError : the state is damaged.
        """
        with self._lock:
            if self.n_asked_:
                raise StateError(f"a state is loaded into a fresh SparseVector only, this one was asked {self.n_asked_} times")
            n_asked, n_fired = whole_number(0, n_seen=state["n_seen"]), whole_number(0, n_fired=state["n_fired"])
            if n_fired > min(n_asked, self.max_firings):
                raise ValueError("state is damaged: more firings than queries or than allowed")
            self._level, self.n_asked_, self.n_fired_ = int(str(state["level"])), n_asked, n_fired

    def __repr__(self) -> str:
        return f"SparseVector(max_firings={self.max_firings}, n_asked_={self.n_asked_}, n_fired_={self.n_fired_})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a SparseVector can't be copied or pickled: two copies would spend its budget twice")

    def _multiple(self, value: float) -> int:
        """Return the nearest multiple of the grid, halves upward: commutes with whole shifts, unlike rounding to even."""
        return int((Fraction(value) / self._grid + Fraction(1, 2)).__floor__())

    def _released(self, multiple: int) -> float | None:
        if self.scales.answer is None:
            return None
        return float((multiple + exact_discrete_laplace(self.scales.answer, self._noise.words)) * self._grid)


def sparse_vector_scales(
    *, epsilon: float, max_firings: int, steps: Fraction = Fraction(1), monotone: bool = False, answer_epsilon: float = 0.0
) -> SparseVectorScales:
    """Return the noise scales for a sensitivity of `steps` units of the grid; eps1 + eps2 is exactly epsilon.

    Examples
    --------
    >>> scales = sparse_vector_scales(epsilon=1.0, max_firings=4)
    >>> scales.threshold, scales.query
    (Fraction(5, 1), Fraction(10, 1))
    """
    c = whole_number(1, max_firings=max_firings)
    total = Fraction(positive(epsilon=epsilon))
    factor = c if monotone else 2 * c
    share = max(Fraction(1 / (1 + factor ** (2 / 3))).limit_denominator(_SHARE_DENOMINATOR), Fraction(1, _SHARE_DENOMINATOR))
    answer = Fraction(non_negative(answer_epsilon=answer_epsilon))
    return SparseVectorScales(
        threshold=steps / (total * share),
        query=factor * steps / (total * (1 - share)),
        answer=c * steps / answer if answer else None,
    )


def _valid_grid(grid: float | None, sensitivity: float) -> Fraction:
    largest = Fraction(positive(sensitivity=sensitivity))
    if grid is None:
        return largest / _GRIDS_A_SENSITIVITY
    step = Fraction(positive(grid=grid))
    if (largest / step).denominator != 1:
        raise ValueError(f"grid must divide the sensitivity, got {grid} for {sensitivity}; a power of two times it does, or None")
    return step


def _finite(value: float) -> float:
    number = float(value)
    if not abs(number) < float("inf"):
        raise ValueError("value must be a finite number")
    return number
