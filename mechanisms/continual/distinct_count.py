"""How many different items a stream has held so far, released after every step; items come, they never go.

x_t = 1 where the item of step t is new, else 0, goes through a counter. Replacing or taking away the item of one step changes this stream
in at most two places, by opposite signs: the first occurrence of an item moves.

    Delta_1 doubles;  Delta_2^2 <= 2 max_j ||R e_j||^2 where R^T R >= 0 entrywise, since the cross term is then not positive

Where the second place lies depends on later items, which may be chosen from releases; along every path the two shifts have this norm
together, and that is what the adaptive composition of `ContinualCounter` needs. If items could also be taken out, one step could change the
stream in any number of places: that is not offered.

Cost: a counter's, and a keyed digest of 16 bytes an item seen, which is secret. A stored state holds them all, so a file is written in
batches where items are many (`StoredRelease.update_many`).

References
----------
Jain, Kalemaj, Raskhodnikova, Sivakumar, Smith, Counting Distinct Elements in the Turnstile Model with Differential Privacy under Continual
Observation, NeurIPS 2023. Bolot et al., ICDT 2013.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from mechanisms.continual.counter import ContinualCounter, Releases
from mechanisms.continual.counter_design import design_counter
from mechanisms.continual.counter_statistic import CounterStatistic
from mechanisms.guarantee import Neighboring
from mechanisms.json_ready import JsonValue
from mechanisms.noise.source import NoiseSource

Item = str | bytes | int
_DIGEST_BYTES = 16
_NUMBERS = 3  # of a checked step


class DistinctCounter(CounterStatistic):
    """Noisy number of different items after every step.

    Parameters
    ----------
    horizon : T, or None where it isn't known.
    rho, epsilon, delta, mechanism, neighboring, noise : as `ContinualCounter`; a step is one item.

    Guarantee
    ---------
    rho-zCDP or (epsilon, delta)-DP for all releases together, for one step whose item is taken away (`zero_out`) or becomes another one
    (`replace`); both cost the same. Proof in the head of this file.

    Examples
    --------
    >>> counter = DistinctCounter(100, rho=50.0)
    >>> counts = [counter.update(item) for item in ("a", "b", "a", None)]
    >>> counter.n_seen_
    4
    """

    kind = "distinct count"

    def __init__(
        self,
        horizon: int | None,
        *,
        rho: float | None = None,
        epsilon: float | None = None,
        delta: float | None = None,
        mechanism: str = "auto",
        neighboring: Neighboring = Neighboring.ZERO_OUT,
        noise: NoiseSource | None = None,
    ) -> None:
        design = design_counter(
            horizon, rho=rho, epsilon=epsilon, delta=delta, mechanism=mechanism, neighboring=neighboring, signed=False, moves=True
        )
        super().__init__(ContinualCounter.from_design(design, noise=noise))
        self._key = secrets.token_bytes(32)
        self._known: set[bytes] = set()

    def update(self, item: Item | None) -> int:
        """Take one step, an item or None, and return the noisy number of different items.

        Raises
        ------
        TypeError : an item that is no string, bytes or whole number; nothing has been drawn or changed.
        BudgetExhaustedError : all T steps have been released.
        """
        return self.shown(self.advance(self.checked(item)[None])[0])

    def update_many(self, items: Iterable[Item | None]) -> NDArray[np.int64]:
        """Take many steps at once and return the noisy numbers after each."""
        steps = [self.checked(item) for item in items]
        return self.advance(np.array(steps, dtype=np.int64).reshape(-1, _NUMBERS))[:, 0]

    def checked(self, item: Item | None) -> NDArray[np.int64]:
        """Check one item and return whether there is one and its keyed digest, shape (3,); nothing is drawn or changed."""
        digest = bytes(_DIGEST_BYTES) if item is None else self._digest(item)
        return np.array([item is not None, *np.frombuffer(digest, dtype="<i8")], dtype=np.int64)

    def advance(self, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Take checked items, shape (n, 3), and return the noisy numbers of different items after each, shape (n, 1)."""
        with self._lock:
            self.require_steps(len(steps))
            is_new = np.zeros((len(steps), 1), dtype=np.int64)
            for i in np.flatnonzero(steps[:, 0]):
                digest = steps[i, 1:].astype("<i8").tobytes()
                is_new[i] = digest not in self._known
                self._known.add(digest)
            return self.counter.advance(is_new)

    def shown(self, row: Releases) -> int:
        """Return the noisy number of one step."""
        return int(row[0])

    def error_bound(self, beta: float, simultaneous: bool = True) -> float:
        """Return what errors stay below, see `ContinualCounter.error_bound`."""
        return self.counter.error_bound(beta, simultaneous)

    def _own_state(self) -> dict[str, JsonValue]:
        known: list[JsonValue] = [digest.hex() for digest in sorted(self._known)]
        return {"key": self._key.hex(), "known": known}

    def _read_own(self, state: Mapping[str, object]) -> dict[str, object]:
        known = state["known"]
        if not isinstance(known, list):
            raise TypeError("state is damaged: it has no items")
        return {"_key": bytes.fromhex(str(state["key"])), "_known": {bytes.fromhex(str(digest)) for digest in known}}

    def _digest(self, item: Item) -> bytes:
        if isinstance(item, bool) or not isinstance(item, str | bytes | int):
            raise TypeError(f"an item must be a string, bytes or a whole number, got {type(item).__name__}")
        kind, data = ("b", item) if isinstance(item, bytes) else (type(item).__name__[0], str(item).encode())
        return hashlib.blake2b(kind.encode() + data, key=self._key, digest_size=_DIGEST_BYTES).digest()
