"""EpsilonCurve: lower bounds of epsilon at many deltas that hold together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.guarantee import Neighboring
from mechanisms.json_ready import JsonValue, json_ready, number_from_json
from mechanisms.validation import one_dimensional, probability_level, same_length
from privacy_audit.estimate.bound import EpsilonBound

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEMA_VERSION = 1
_INK = "#1c4b87"


@dataclass(frozen=True, slots=True, eq=False, init=False)
class EpsilonCurve:
    """Simultaneous lower bounds of epsilon(delta).

    Parameters
    ----------
    delta : probabilities in [0, 1), shape (n,).
    epsilon : the bound at each delta, in nats, shape (n,); infinite where every finite epsilon is excluded.
    level : P(epsilon[i] <= true epsilon(delta[i]) for all i) is at least this, if the assumptions hold.
    method, neighboring, assumptions : as in `EpsilonBound`.

    Raises
    ------
    ValueError : no delta, lengths that differ, a delta outside [0, 1), a negative or NaN epsilon.
    """

    delta: NDArray[np.float64]
    epsilon: NDArray[np.float64]
    level: float
    method: str
    neighboring: Neighboring
    assumptions: tuple[str, ...]

    def __init__(
        self,
        *,
        delta: ArrayLike,
        epsilon: ArrayLike,
        level: float,
        method: str,
        neighboring: Neighboring = Neighboring.ADD_REMOVE,
        assumptions: tuple[str, ...] = (),
    ) -> None:
        deltas, epsilons = valid_deltas(delta), np.array(one_dimensional(epsilon=epsilon), dtype=np.float64)
        same_length(delta=deltas, epsilon=epsilons)
        if not (epsilons >= 0).all():
            raise ValueError(f"epsilon must hold numbers >= 0, got {int((~(epsilons >= 0)).sum())} others")
        epsilons.flags.writeable = False
        for name, value in (("delta", deltas), ("epsilon", epsilons), ("level", probability_level(level))):
            object.__setattr__(self, name, value)
        for name, text in (("method", method), ("neighboring", neighboring), ("assumptions", tuple(assumptions))):
            object.__setattr__(self, name, text)

    def __reduce__(self) -> tuple[object, tuple[dict[str, JsonValue]]]:
        return EpsilonCurve.from_dict, (self.to_dict(),)

    def __len__(self) -> int:
        return len(self.delta)

    @property
    def kind(self) -> Literal["bound"]:
        """The kind of statement: coverage is proved."""
        return "bound"

    def bounds(self) -> tuple[EpsilonBound, ...]:
        """Return one bound for each delta; all hold together."""
        return tuple(
            EpsilonBound(
                epsilon=epsilon,
                delta=delta,
                level=self.level,
                method=self.method,
                neighboring=self.neighboring,
                assumptions=self.assumptions,
            )
            for delta, epsilon in zip(self.delta.tolist(), self.epsilon.tolist(), strict=True)
        )

    def equals(self, other: EpsilonCurve) -> bool:
        """Whether both records say the same."""
        return self.to_dict() == other.to_dict()

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "delta": json_ready(self.delta),
            "epsilon": json_ready(self.epsilon),
            "level": self.level,
            "method": self.method,
            "neighboring": self.neighboring.value,
            "assumptions": list(self.assumptions),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, JsonValue]) -> EpsilonCurve:
        """Rebuild a curve from `to_dict()`."""
        delta, epsilon, assumptions = record["delta"], record["epsilon"], record["assumptions"]
        if not (isinstance(delta, list) and isinstance(epsilon, list) and isinstance(assumptions, list)):
            raise TypeError("delta, epsilon and assumptions must be lists")
        return cls(
            delta=[number_from_json(value) for value in delta],
            epsilon=[number_from_json(value) for value in epsilon],
            level=number_from_json(record["level"]),
            method=str(record["method"]),
            neighboring=Neighboring(str(record["neighboring"])),
            assumptions=tuple(str(item) for item in assumptions),
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw epsilon over delta, with a logarithmic axis where every delta is positive; returns the axes."""
        if ax is None:
            from matplotlib import pyplot as plt

            ax = plt.subplots(figsize=(6, 3.5), layout="constrained")[1]
        order = np.argsort(self.delta)
        ax.plot(self.delta[order], self.epsilon[order], color=_INK, marker=".")
        if (self.delta > 0).all():
            ax.set_xscale("log")
        ax.set(xlabel="delta", ylabel="epsilon, lower bound", ylim=(0, None))
        ax.set_title(f"simultaneous at level {self.level:g}, {self.method}", fontsize="medium")
        return ax


def valid_deltas(deltas: ArrayLike) -> NDArray[np.float64]:
    """Return the deltas as a read-only array, or raise ValueError."""
    array = np.array(one_dimensional(deltas=deltas), dtype=np.float64)
    n_wrong = int((~((array >= 0) & (array < 1))).sum())
    if n_wrong or not len(array):
        raise ValueError(f"deltas must hold at least one number, all in [0, 1), got {len(array)} of which {n_wrong} are outside")
    array.flags.writeable = False
    return array
