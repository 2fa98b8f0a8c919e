"""How many different items a stream has held so far, released after every step; items come, they never go.

x_t = 1 where the item of step t is new, else 0, goes through a counter. Replacing or taking away the item of one step changes this stream
in at most two places, by opposite signs: the first occurrence of an item moves.

    Delta_1 doubles;  Delta_2^2 <= 2 max_j ||R e_j||^2 where R^T R >= 0 entrywise, since the cross term is then not positive

Where the second place lies depends on later items, which may be chosen from releases; along every path the two shifts have this norm
together, and that is what the adaptive composition of `ContinualCounter` needs. If items could also be taken out, one step could change the
stream in any number of places: that is not offered.

Cost: a counter's, and a keyed digest of 16 bytes an item seen, which is secret.

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

from mechanisms.continual.counter import ContinualCounter
from mechanisms.continual.counter_budget import CounterBudget
from mechanisms.continual.counter_design import design_counter
from mechanisms.continual.state_arrays import SecretState
from mechanisms.errors import StateError
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.json_ready import JsonValue
from mechanisms.noise.source import NoiseSource

Item = str | bytes | int
_DIGEST_BYTES = 16


class DistinctCounter:
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
        self.counter = ContinualCounter.from_design(design, noise=noise)
        self._key = secrets.token_bytes(32)
        self._known: set[bytes] = set()

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

    def update(self, item: Item | None) -> int:
        """Take one step, an item or None, and return the noisy number of different items.

        Raises
        ------
        TypeError : an item that is no string, bytes or whole number; nothing has been drawn or changed.
        BudgetExhaustedError : all T steps have been released.
        """
        return int(self.update_many([item])[0])

    def update_many(self, items: Iterable[Item | None]) -> NDArray[np.int64]:
        """Take many steps at once and return the noisy numbers after each."""
        digests = [None if item is None else self._digest(item) for item in items]
        fresh: set[bytes] = set()
        is_new = np.zeros((len(digests), 1), dtype=np.int64)
        for i, digest in enumerate(digests):
            if digest is not None and digest not in self._known and digest not in fresh:
                fresh.add(digest)
                is_new[i] = 1
        releases = self.counter.advance(is_new)
        self._known |= fresh
        return releases[:, 0]

    def error_bound(self, beta: float, simultaneous: bool = True) -> float:
        """Return what errors stay below, see `ContinualCounter.error_bound`."""
        return self.counter.error_bound(beta, simultaneous)

    def state_dict(self) -> SecretState:
        """Return the state, JSON-ready; it tells which items were seen, so keep it as secret as the data."""
        known: list[JsonValue] = [digest.hex() for digest in sorted(self._known)]
        return SecretState(n_seen=self.n_seen_, counter=self.counter.state_dict(), key=self._key.hex(), known=known)

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Continue where `state_dict` stood; errors as `ContinualCounter.load_state_dict`."""
        inner, known = state.get("counter"), state.get("known")
        if not isinstance(inner, Mapping) or not isinstance(known, list):
            raise StateError("the state is none of a DistinctCounter")
        try:
            key, items = bytes.fromhex(str(state["key"])), {bytes.fromhex(str(digest)) for digest in known}
        except (KeyError, ValueError):
            raise StateError("the state is damaged") from None
        self.counter.load_state_dict(inner)
        self._key, self._known = key, items

    def _digest(self, item: Item) -> bytes:
        if isinstance(item, bool) or not isinstance(item, str | bytes | int):
            raise TypeError(f"an item must be a string, bytes or a whole number, got {type(item).__name__}")
        kind, data = ("b", item) if isinstance(item, bytes) else (type(item).__name__[0], str(item).encode())
        return hashlib.blake2b(kind.encode() + data, key=self._key, digest_size=_DIGEST_BYTES).digest()

    def __repr__(self) -> str:
        return f"DistinctCounter({self.counter.factorization_.name}, step {self.n_seen_:,})"
