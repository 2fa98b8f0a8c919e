"""The reusable holdout (Thresholdout): a holdout set that may be looked at again and again, as long as a budget lasts.

    B firings are paid for; gamma ~ Lap(2 sigma)
    for each query q with values in [0, 1], chosen with knowledge of all former answers:
        |q(train) - q(holdout)| <= threshold + gamma + Lap(4 sigma):  answer q(train); the holdout has confirmed it
        else: one firing is spent, answer q(holdout) + Lap(sigma), draw a new gamma

Once B queries have fired, every query is refused: there is no fall-back to either set. Queries of another range are rescaled from declared
bounds; threshold, sigma and the noise of answers then are in units of the range.

Privacy of the holdout, under REPLACE of one of its n records. A run up to its firing is the sparse vector technique for one firing and
sensitivity 1 / n: its threshold costs 1 / (2 sigma n), its firing as much, the answer 1 / (sigma n). In all epsilon = 2 B / (sigma n).
After the last firing nothing is asked any more, so there is no unfired run on top.

Symbols: n holdout records, B budget. Cost: a pass over both sets, and 0.3 ms. The laws of noise are in `holdout_noise`, what is spent is in
`holdout_budget`; a budget that survives crashes and is shared by processes is in `stored_holdout`.

References
----------
Dwork, Feldman, Hardt, Pitassi, Reingold, Roth, The Reusable Holdout, Science 2015; Preserving Statistical Validity in Adaptive Data
Analysis, STOC 2015. Lyu, Su, Li, Understanding the Sparse Vector Technique for Differential Privacy, VLDB 2017.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from functools import cached_property
from threading import Lock
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike

from mechanisms.accounting.epsilon_ledger import EpsilonLedger
from mechanisms.adaptive.holdout_budget import holdout_budget
from mechanisms.adaptive.holdout_noise import Law, Values, holdout_noise
from mechanisms.adaptive.holdout_question import HoldoutAnswer, HoldoutQuestion
from mechanisms.adaptive.holdout_records import (
    Bounds,
    GivenRecords,
    HoldoutQuery,
    HoldoutRecords,
    holdout_records,
    scaled_values,
    valid_bounds,
)
from mechanisms.adaptive.holdout_scores import Estimator, PerRecordScore, score_query
from mechanisms.continual.continual_release import Rows, Steps
from mechanisms.continual.state_arrays import SecretState
from mechanisms.errors import BudgetExhaustedError, StateError
from mechanisms.guarantee import PrivacyGuarantee
from mechanisms.noise.source import NoiseSource, SeededNoise, noise_assumptions, noise_source
from mechanisms.validation import non_negative, probability_level, whole_number

SCHEMA_VERSION = 1


class ReusableHoldout:
    """Answer adaptively chosen queries from the train set, and from the holdout where the two disagree.

    Parameters
    ----------
    train, holdout : an array of records each, or a tuple such as (X, y); a query is called with the arrays. They are copied.
    threshold, sigma : in units of a query's range; as they are written in decimals.
    budget : B, the most firings; or
    epsilon : instead of a budget: as many firings as it pays for.
    law : "laplace" has a guarantee; "gaussian" is the published experiment's and has none (`noise` names where the noise comes from).
    privacy_unit : what a record stands for.
    noise : where the noise comes from; None is the operating system.

    Raises
    ------
    ValueError, TypeError : a parameter out of its range.

    Guarantee
    ---------
    epsilon-DP for the holdout with epsilon = 2 B / (sigma n) under REPLACE, for any number of adaptively chosen queries; delta = 0, since
    noise is exact and whole. The train set is not protected. See the head of the file.

    Notes
    -----
    It can't be copied or pickled: two copies would spend one budget twice. Threads may share it. Values out of bounds raise, which depends
    on the data: `clip=True` avoids that.

    Examples
    --------
    >>> train, fresh = np.zeros(5000), np.ones(5000)
    >>> holdout = ReusableHoldout(train, fresh, budget=25)
    >>> holdout.guarantee.epsilon
    1.0
    >>> answer = holdout.answer(lambda records: records)
    >>> answer.fired, answer.value > 0.8, answer.remaining
    (True, True, 24)
    """

    kind = "reusable holdout"

    def __init__(
        self,
        train: GivenRecords | HoldoutRecords,
        holdout: GivenRecords | HoldoutRecords,
        *,
        threshold: float = 0.04,
        sigma: float = 0.01,
        budget: int | None = None,
        epsilon: float | None = None,
        law: Law = "laplace",
        privacy_unit: str = "record",
        noise: NoiseSource | None = None,
    ) -> None:
        self.train, self.holdout = holdout_records("train", train), holdout_records("holdout", holdout)
        self.threshold, self.law, self.privacy_unit = non_negative(threshold=threshold), law, privacy_unit
        self.budget_ = holdout_budget(self.holdout.n, sigma, law, budget=budget, epsilon=epsilon)
        self._source = noise_source(noise)
        self._noise = holdout_noise(law, self.holdout.n, self.threshold, sigma, self._source)
        self.n_seen_ = 0
        self._fired_at: list[int] = []
        self._lock = Lock()
        self._usable = True

    @property
    def remaining_(self) -> int:
        """Firings that are left."""
        return self.budget_.firings - len(self._fired_at)

    @property
    def epsilon_(self) -> float:
        """Nats spent so far; `guarantee.epsilon` once the budget is gone."""
        return self.budget_.spent(self.n_seen_, self._fired_at)

    @property
    def ledger(self) -> EpsilonLedger:
        """What was spent, by query."""
        return self.budget_.ledger(self.n_seen_, self._fired_at)

    @property
    def formal_guarantee_(self) -> bool:
        """Whether anything is proved: False for the Gaussian law."""
        return self.budget_.proved

    @property
    def guarantee(self) -> PrivacyGuarantee:
        """What holds for all answers together, pure."""
        return self.guarantee_at(None)

    def guarantee_at(self, delta: float | None) -> PrivacyGuarantee:
        """Return the guarantee at a delta: the better of the pure one and zCDP with rho = B / (sigma n)^2."""
        return self.budget_.guarantee(delta, self.privacy_unit, noise_assumptions(self._source))

    def answer(self, query: HoldoutQuery, *, bounds: Bounds = (0.0, 1.0), clip: bool = False) -> HoldoutAnswer:
        """Answer one query.

        Parameters
        ----------
        query : takes the arrays of a set and returns one value a record.
        bounds : range of the values; None for any range, with the Gaussian law only.
        clip : whether values out of bounds are moved to the nearer bound, instead of refused.

        Raises
        ------
        BudgetExhaustedError : all firings are spent; the holdout is not looked at.
        ValueError, TypeError : bad values or bounds; nothing is spent or drawn.
        """
        self._require_firings(1)
        return self._answered(self.question(query, bounds=bounds, clip=clip))

    def answer_values(
        self, train_values: ArrayLike, holdout_values: ArrayLike, *, bounds: Bounds = (0.0, 1.0), clip: bool = False
    ) -> HoldoutAnswer:
        """Answer a query by its values, computed elsewhere, one a record of each set; otherwise as `answer`."""
        self._require_firings(1)
        values = {"train": train_values, "holdout": holdout_values}
        return self._answered(
            self._question(lambda part, at: scaled_values(values[part.name], part.n, at, clip=clip, name=part.name), bounds)
        )

    def score(
        self, estimator: Estimator, scoring: str | PerRecordScore = "accuracy", *, bounds: Bounds = (0.0, 1.0), clip: bool = False
    ) -> HoldoutAnswer:
        """Answer with the score of a fitted estimator, for sets of the form (X, y); see `holdout_scores` for `scoring`."""
        return self.answer(score_query(estimator, scoring), bounds=bounds, clip=clip)

    def error_bound(self, n_queries: int, beta: float = 0.05) -> float:
        """Return what the answers of n queries are within of q(holdout), in units of the range, all at once, with probability 1 - beta."""
        number = whole_number(1, n_queries=n_queries)
        tests, answers = self._noise.tails(number, min(number, self.budget_.firings), 1 - probability_level(1 - beta))
        return max(self.threshold + tests, answers)

    def question(self, query: HoldoutQuery, *, bounds: Bounds = (0.0, 1.0), clip: bool = False) -> HoldoutQuestion:
        """Return a query's means, for `update` of a stored holdout; nothing is drawn or spent. Errors as `answer`."""
        return self._question(lambda part, declared: part.values(query, declared, clip=clip), bounds)

    def checked(self, x: HoldoutQuestion, /) -> Steps:
        """Return a question as whole numbers, shape (4,)."""
        if not isinstance(x, HoldoutQuestion):
            raise TypeError(f"a HoldoutQuestion is asked, made by `question`, got {type(x).__name__}")
        return x.step

    def require_steps(self, n: int, /) -> None:
        """Raise BudgetExhaustedError unless a query can be asked, or n that might all fire."""
        if not self._usable:
            raise StateError("an earlier query was interrupted, so its noise is half drawn; go on from a stored state")
        self._require_firings(n)

    def advance(self, steps: Steps, /) -> Rows:
        """Answer checked questions, shape (n, 4), with rows of value, fired, remaining."""
        with self._lock:
            self.require_steps(len(steps))
            self._usable = False  # until all are answered
            rows = [self._next(HoldoutQuestion.from_step(step)).row for step in steps]
            self._usable = True
        return np.array(rows, dtype=np.float64).reshape(-1, 3)

    def shown(self, row: Rows, /) -> HoldoutAnswer:
        """Return the answer that a row stands for."""
        return HoldoutAnswer.from_row(row)

    def state_dict(self) -> SecretState:
        """Return the state, JSON-ready, with the secret noise in it."""
        with self._lock:
            return SecretState(
                schema_version=SCHEMA_VERSION,
                config_hash=self._config_hash,
                n_seen=self.n_seen_,
                fired_at=list(self._fired_at),
                held=self._noise.state(),
                noise=self._source.state() if isinstance(self._source, SeededNoise) else None,
            )

    def load_state_dict(self, state: Mapping[str, object], /) -> None:
        """Go on where `state_dict` stood.

        Raises
        ------
        StateError : this object was asked something already, or the state is of other parameters or records, or damaged.
        """
        with self._lock:
            if self.n_seen_ or not self._usable:
                raise StateError(f"a state is loaded into a fresh holdout only, this one was asked {self.n_seen_:,} times")
            if state.get("schema_version") != SCHEMA_VERSION or state.get("config_hash") != self._config_hash:
                raise StateError("the state is of a holdout with other parameters or records; make one with those of the state")
            self._usable = False  # a half-loaded state must not be used
            try:
                self._restore(state)
            except (KeyError, TypeError, ValueError) as error:
                raise StateError(f"the state can't be loaded: {error}") from None
            self._usable = True

    def __repr__(self) -> str:
        return f"ReusableHoldout({self.holdout.n:,} records, law={self.law!r}, n_seen_={self.n_seen_:,}, remaining_={self.remaining_:,})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a holdout can't be copied or pickled: two copies would spend one budget twice; processes share a SharedHoldout")

    def _require_firings(self, n: int) -> None:
        if self.remaining_ < max(1, n):
            left = f"{self.remaining_:,} of {self.budget_.firings:,} firings are left, which is too few"
            raise BudgetExhaustedError(f"{left}; the holdout is not used any further: a new one must be drawn from the population")

    def _answered(self, question: HoldoutQuestion) -> HoldoutAnswer:
        return self.shown(self.advance(self.checked(question)[None])[0])

    def _question(self, values: Callable[[HoldoutRecords, Bounds], Values], bounds: Bounds) -> HoldoutQuestion:
        if bounds is None and self.budget_.proved:
            raise ValueError("bounds must be given: a query without bounds has no finite sensitivity; declare them and use clip=True")
        declared = valid_bounds(bounds)
        low, high = (-math.inf, math.inf) if declared is None else declared
        return HoldoutQuestion(*self._noise.means(values(self.train, declared), values(self.holdout, declared)), low, high)

    def _next(self, question: HoldoutQuestion) -> HoldoutAnswer:
        if self.n_seen_ == (self._fired_at[-1] if self._fired_at else 0):
            self._noise.begin_run()
        self.n_seen_ += 1
        if not self._noise.fires(question.train, question.holdout):
            return HoldoutAnswer(question.in_range(self._noise.value(question.train)), False, self.remaining_)
        self._fired_at.append(self.n_seen_)
        return HoldoutAnswer(question.in_range(self._noise.noisy(question.holdout)), True, self.remaining_)

    @cached_property
    def _config_hash(self) -> str:
        public = [self.threshold, self.budget_.sigma, self.budget_.firings, self.law, self.train.digest, self.holdout.digest]
        return hashlib.sha256(json.dumps(public).encode()).hexdigest()

    def _restore(self, state: Mapping[str, object]) -> None:
        place, fired_at = state["noise"], state["fired_at"]
        if (place is None) == isinstance(self._source, SeededNoise):
            raise ValueError("state was written with another kind of noise source (seeded or secure); open it with the same kind")
        if isinstance(self._source, SeededNoise) and isinstance(place, Mapping):
            self._source.restore(place)
        if not isinstance(fired_at, list):
            raise ValueError("state is damaged: it has no list of firings")
        n_seen, numbers = whole_number(0, n_seen=state["n_seen"]), [whole_number(1, fired_at=i) for i in fired_at]
        if numbers != sorted(set(numbers)) or len(numbers) > self.budget_.firings or max(numbers, default=0) > n_seen:
            raise ValueError("state is damaged: its firings are not those of this many queries")
        self._noise.restore(str(state["held"]))
        self.n_seen_, self._fired_at = n_seen, numbers
