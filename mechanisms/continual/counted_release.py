"""A release after every step of a 0/1 stream, whatever its method: checks, state, guarantee, predicted error.

One of several methods turns the true counts into answers. The object refuses to be copied, counts steps, and stores its state; a state that
another release goes on from would use the same noise for different inputs, so load it once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from threading import Lock
from typing import Generic, NoReturn, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.continual.binary_counts import BinaryCounts
from mechanisms.continual.state_arrays import SecretState
from mechanisms.errors import StateError
from mechanisms.guarantee import PrivacyGuarantee
from mechanisms.json_ready import JsonValue, json_record
from mechanisms.noise.source import NoiseSource, SeededNoise, noise_assumptions
from mechanisms.validation import in_range

SCHEMA_VERSION = 1
Answer = TypeVar("Answer", bound=float)
AnyAnswer = TypeVar("AnyAnswer", bound=float, covariant=True)
Counts = NDArray[np.int64]


class ReleaseMethod(Protocol[AnyAnswer]):
    """One way to answer after every step."""

    @property
    def name(self) -> str:
        """What `method=` takes."""
        ...

    def release(self, sums: Counts, step: Counts, t: int) -> AnyAnswer:
        """Return the answer at step t from the counts, step t included, and the step itself."""
        ...

    def bound(self, beta: float) -> float:
        """Return what the error of all answers stays below with probability 1 - beta."""
        ...

    def guarantee(self, delta: float | None) -> PrivacyGuarantee:
        """Return what holds for all answers together; None is the usual delta."""
        ...

    def state(self) -> dict[str, JsonValue]:
        """Return what changes, JSON-ready and secret."""
        ...

    def restore(self, state: Mapping[str, object]) -> None:
        """Go to a state."""
        ...


class CountedRelease(Generic[Answer]):
    """What `MaxSum` and `SumSelect` share.

    Attributes
    ----------
    bounds_ : predicted error at `beta` of every method that was compared.
    """

    bounds_: Mapping[str, float]
    _method: ReleaseMethod[Answer]

    def _start(
        self, counts: BinaryCounts, method: ReleaseMethod[Answer], source: NoiseSource, options: Mapping[str, object], beta: float
    ) -> None:
        self._counts, self._method, self._source, self._beta = counts, method, source, beta
        public = json_record({**options, "class": type(self).__name__, "method": method.name, "schema_version": SCHEMA_VERSION})
        self._config_hash = hashlib.sha256(json.dumps(public, sort_keys=True).encode()).hexdigest()
        self._lock = Lock()
        self._usable = True

    @property
    def horizon(self) -> int:
        """T."""
        return self._counts.horizon

    @property
    def dim(self) -> int:
        """d."""
        return self._counts.dim

    @property
    def n_seen_(self) -> int:
        """Steps released so far."""
        return self._counts.n_seen

    @property
    def method_(self) -> str:
        """The method that answers."""
        return self._method.name

    @property
    def secure_noise(self) -> bool:
        """False if the noise came from a seed; then nothing is protected."""
        return self._source.secure

    @property
    def guarantee(self) -> PrivacyGuarantee:
        """What holds for all releases together; a rho is told as an epsilon at delta = 1e-6."""
        return self.guarantee_at(None)

    def guarantee_at(self, delta: float | None) -> PrivacyGuarantee:
        """Return the guarantee with the epsilon at another delta."""
        guarantee = self._method.guarantee(delta)
        assumptions = dict.fromkeys((*guarantee.assumptions, *noise_assumptions(self._source)))
        return replace(guarantee, assumptions=tuple(assumptions))

    def error_bound(self, beta: float | None = None) -> float:
        """Return what the error stays below at all steps at once, with probability 1 - beta; None is the beta of the construction."""
        return self._method.bound(self._beta if beta is None else in_range(0, 1, beta=beta))

    def update(self, x: ArrayLike) -> Answer:
        """Take one step of {0, 1}^d and return the release.

        Raises
        ------
        BudgetExhaustedError : all T steps have been released.
        ValueError, TypeError : bad input; nothing has been drawn or changed.
        StateError : an earlier step was interrupted.
        """
        with self._lock:
            self._require_usable()
            step = self._counts.checked(x)
            self._usable = False  # until the step is complete
            self._counts.add(step)
            answer = self._shown(self._method.release(self._counts.sums, step, self.n_seen_))
            self._usable = True
            return answer

    def state_dict(self) -> SecretState:
        """Return the state, JSON-ready. It holds the true counts: keep it as secret as the data."""
        with self._lock:
            self._require_usable()
            return SecretState(
                schema_version=SCHEMA_VERSION,
                config_hash=self._config_hash,
                n_seen=self.n_seen_,
                counts=self._counts.state(),
                method=self._method.state(),
                shown=self._shown_state(),
                noise=self._source.state() if isinstance(self._source, SeededNoise) else None,
            )

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on where `state_dict` stood.

        Raises
        ------
        StateError : this object has released something already, or the state is of another release or damaged.
        """
        with self._lock:
            if self.n_seen_ or not self._usable:
                raise StateError(f"a state is loaded into a fresh release only, this one is at step {self.n_seen_}")
            if state.get("schema_version") != SCHEMA_VERSION or state.get("config_hash") != self._config_hash:
                raise StateError("the state is of a release with other parameters; make one with the parameters of the state")
            self._usable = False  # a half-loaded state must not be used
            try:
                self._restore(state)
            except (KeyError, TypeError, ValueError) as error:
                raise StateError(f"the state can't be loaded: {error}") from None
            self._usable = True

    def _restore(self, state: Mapping[str, object]) -> None:
        place, method = state["noise"], state["method"]
        if (place is None) == isinstance(self._source, SeededNoise) or not isinstance(method, Mapping):
            raise ValueError("state was written with another kind of noise source (seeded or secure); open it with the same kind")
        if isinstance(self._source, SeededNoise) and isinstance(place, Mapping):
            self._source.restore(place)
        self._counts.restore(state["counts"])
        self._method.restore(method)
        self._show_from(state["shown"])

    def _shown(self, answer: Answer) -> Answer:
        """Post-process one answer."""
        return answer

    def _shown_state(self) -> JsonValue:
        return None

    def _show_from(self, state: object) -> None:
        """Go to a state of the post-processing; there is none here."""
        if state is not None:
            raise ValueError("state is damaged: it has a post-processing that this release has not")

    def _require_usable(self) -> None:
        if not self._usable:
            raise StateError("an earlier step was interrupted, so its noise is half drawn; go on from a stored state")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.method_}, step {self.n_seen_:,} of {self.horizon:,}, dim {self.dim:,})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a release can't be copied or pickled: two copies would use the same noise for different inputs; see state_dict")
