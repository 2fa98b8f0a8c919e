"""What a method of answering needs to know in advance, what it promises in advance, and what it does afterwards.

A planner looks at public parameters only, an `AnswerTask`, and returns a `MethodPlan` with the half-width that all its intervals will have,
or says why the method can't serve (`Unsuitable`). A new method is one file with a planner, and one line in
`mechanisms.adaptive.answer_methods`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from mechanisms.accounting.epsilon_ledger import EpsilonLedger
from mechanisms.accounting.ledger import Ledger
from mechanisms.adaptive.answer import Answer
from mechanisms.adaptive.finite_universe import FiniteUniverse
from mechanisms.adaptive.query import Records, StatisticalQuery
from mechanisms.continual.stream_budget import StreamBudget
from mechanisms.guarantee import PrivacyGuarantee
from mechanisms.noise.source import NoiseSource


@dataclass(frozen=True, slots=True)
class AnswerTask:
    """The public side of a question-and-answer session.

    Parameters
    ----------
    n : records.
    max_queries : k, the most queries that will be asked.
    beta : probability that some interval may miss.
    budget : privacy budget under replacement of one record; None lets a method choose the one with the narrowest intervals.
    privacy_unit : what one record stands for.
    universe : all values that a record may have, where they are declared.
    """

    n: int
    max_queries: int
    beta: float
    budget: StreamBudget | None
    privacy_unit: str = "record"
    universe: FiniteUniverse | None = None


class AnswerMethod(Protocol):
    """A running method."""

    @property
    def guarantee(self) -> PrivacyGuarantee:
        """What is promised to the records for all answers together."""

    @property
    def ledger(self) -> Ledger | EpsilonLedger | None:
        """What was spent; None where nothing private is promised."""

    def answer(self, query: StatisticalQuery) -> Answer:
        """Answer one query, or raise before anything is spent."""


@dataclass(frozen=True, slots=True)
class MethodPlan:
    """A method that can serve: its name, the half-width of its intervals (1 where they say nothing), and how to start it on records."""

    name: str
    width: float
    start: Callable[[Records, NoiseSource], AnswerMethod]


@dataclass(frozen=True, slots=True)
class Unsuitable:
    """Why a method can't serve a task, in words that can follow its name."""

    reason: str


Planner: TypeAlias = Callable[[AnswerTask], MethodPlan | Unsuitable]
