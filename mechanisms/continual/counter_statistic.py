"""A statistic that is computed from the releases of one counter, and from nothing else: it has the counter's guarantee and error.

What comes before the counter (which step a bin or an item stands for) and after it (windows, largest bins) is the statistic's own; it may
keep a state of its own beside the counter's. Cost: the counter's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from mechanisms.continual.counter import ContinualCounter
from mechanisms.continual.counter_budget import CounterBudget
from mechanisms.continual.state_arrays import SecretState, unpack_array
from mechanisms.errors import StateError
from mechanisms.guarantee import PrivacyGuarantee
from mechanisms.json_ready import JsonValue


class CounterStatistic(ABC):
    """What `SlidingWindowCounter`, `HistogramCounter` and `DistinctCounter` share.

    Attributes
    ----------
    counter : the counter inside.
    """

    def __init__(self, counter: ContinualCounter) -> None:
        self.counter = counter
        self._lock = Lock()

    @property
    def n_seen_(self) -> int:
        """Steps released so far."""
        return self.counter.n_seen_

    @property
    def guarantee(self) -> PrivacyGuarantee:
        """What holds for all releases together."""
        return self.counter.guarantee

    @property
    def budget_(self) -> CounterBudget:
        """What the whole stream spends."""
        return self.counter.budget_

    def require_steps(self, n: int) -> None:
        """Raise BudgetExhaustedError unless n more steps are left."""
        self.counter.require_steps(n)

    def state_dict(self) -> SecretState:
        """Return the state, JSON-ready. It holds true values and the noise: keep it as secret as the data."""
        with self._lock:
            return SecretState(n_seen=self.n_seen_, counter=self.counter.state_dict(), **self._own_state())

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Continue where `state_dict` stood.

        Raises
        ------
        StateError : as `ContinualCounter.load_state_dict`, or the state is of another statistic or damaged; nothing changes then.
        """
        inner = state.get("counter")
        if not isinstance(inner, Mapping):
            raise StateError(f"the state is none of a {type(self).__name__}")
        try:
            own = self._read_own(state)
        except (KeyError, TypeError, ValueError):
            raise StateError(f"the state is damaged, or none of a {type(self).__name__} with these parameters") from None
        with self._lock:
            self.counter.load_state_dict(inner)
            for name, value in own.items():
                setattr(self, name, value)

    @abstractmethod
    def _own_state(self) -> dict[str, JsonValue]:
        """Return what the statistic keeps beside its counter."""

    @abstractmethod
    def _read_own(self, state: Mapping[str, object]) -> dict[str, object]:
        """Return the attributes that `_own_state` told, without setting them; KeyError, TypeError or ValueError for a bad state."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.counter.factorization_.name}, step {self.n_seen_:,})"


def whole_array(packed: object, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Rebuild whole numbers of a known shape; ValueError for anything else."""
    array = unpack_array(packed)
    if array.shape != shape or array.dtype.kind != "i":
        raise ValueError("state is damaged: an array has another shape or type")
    return array.astype(np.int64)
