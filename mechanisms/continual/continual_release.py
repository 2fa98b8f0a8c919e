"""What every release of a stream can do, whatever it releases: check an input, take steps, tell and restore its state.

Inputs and answers are rows of numbers inside, so that one layer can compare and store those of all kinds (`stored_release`). A new
statistic that has these methods can be opened as a file without any change elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from mechanisms.continual.state_arrays import SecretState
from mechanisms.guarantee import PrivacyGuarantee

Input = TypeVar("Input", contravariant=True)
Answer = TypeVar("Answer", covariant=True)
Steps = NDArray[np.int64]
Rows = NDArray[np.int64] | NDArray[np.float64]


class ContinualRelease(Protocol[Input, Answer]):
    """What can be stored. An `update(x)` is `shown(advance(checked(x)[None])[0])`."""

    @property
    def kind(self) -> str:
        """Name of what is released; a file of another kind is refused."""
        ...

    @property
    def n_seen_(self) -> int:
        """Steps released so far."""
        ...

    @property
    def guarantee(self) -> PrivacyGuarantee:
        """What holds for all releases together."""
        ...

    def checked(self, x: Input, /) -> Steps:
        """Check one input and return it as whole numbers, shape (k,), equal for equal inputs; nothing is drawn or changed."""
        ...

    def require_steps(self, n: int, /) -> None:
        """Raise BudgetExhaustedError unless n more steps are left."""
        ...

    def advance(self, steps: Steps, /) -> Rows:
        """Take checked steps, shape (n, k), and return their answers as rows of numbers, shape (n, m)."""
        ...

    def shown(self, row: Rows, /) -> Answer:
        """Return the answer that a row stands for."""
        ...

    def state_dict(self) -> SecretState:
        """Return all that changes, JSON-ready, and a hash of all public parameters."""
        ...

    def load_state_dict(self, state: Mapping[str, object], /) -> None:
        """Go on where `state_dict` stood; StateError for a state of other parameters."""
        ...
