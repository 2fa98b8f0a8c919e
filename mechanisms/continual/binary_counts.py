"""Running counts of a stream of 0/1 vectors, the true state behind `MaxSum` and `SumSelect`.

Inputs are checked before anything is drawn or changed; values never reach a message.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.continual.state_arrays import pack_array, unpack_array
from mechanisms.continual.step_domain import StepDomain
from mechanisms.errors import BudgetExhaustedError
from mechanisms.json_ready import JsonValue
from mechanisms.validation import one_of, whole_number


class BinaryCounts:
    """S_1 to S_d after `n_seen` steps of {0, 1}^d.

    Parameters
    ----------
    horizon, dim : T and d.
    one_hot : at most one coordinate of a step is 1.
    on_violation : "raise", or "clip" to move values into [0, 1].
    """

    def __init__(self, horizon: int, dim: int, *, one_hot: bool, on_violation: str) -> None:
        self.horizon, self.dim = whole_number(1, horizon=horizon), whole_number(1, dim=dim)
        clip = one_of(("raise", "clip"), on_violation=on_violation) == "clip"
        self._domain = StepDomain(self.dim, 1.0, 1, whole=True, signed=False, one_hot=bool(one_hot), clip=clip)
        self.sums: NDArray[np.int64] = np.zeros(self.dim, dtype=np.int64)
        self.n_seen = 0

    def checked(self, x: ArrayLike) -> NDArray[np.int64]:
        """Return a step as whole numbers, shape (d,), without counting it; ValueError or TypeError if it is none of {0, 1}^d."""
        step: NDArray[np.int64] = self._domain.step(x)[0]
        return step

    def require_steps(self, n: int) -> None:
        """Raise BudgetExhaustedError unless n more steps are left."""
        if self.n_seen + n > self.horizon:
            left = self.horizon - self.n_seen
            raise BudgetExhaustedError(
                f"{n:,} more steps were asked for and {left:,} of all {self.horizon:,} are left; "
                "start a new release with a budget of its own"
            )

    def add(self, step: NDArray[np.int64]) -> None:
        """Count a checked step."""
        self.sums += step
        self.n_seen += 1

    def state(self) -> dict[str, JsonValue]:
        """Return the secret state, JSON-ready."""
        return {"n_seen": self.n_seen, "sums": pack_array(self.sums)}

    def restore(self, state: object) -> None:
        """Go to a state.

        Raises
        ------
        ValueError : damaged, or of another dimension or horizon.
        """
        if not isinstance(state, dict):
            raise ValueError("state is damaged: it has no counts")
        n_seen, sums = whole_number(0, n_seen=state.get("n_seen")), unpack_array(state.get("sums")).astype(np.int64)
        if sums.shape != (self.dim,) or n_seen > self.horizon:
            raise ValueError(f"state is damaged: counts must have dim {self.dim} and at most {self.horizon:,} steps")
        self.sums, self.n_seen = sums, n_seen
