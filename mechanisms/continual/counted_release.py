"""A release after every step of a 0/1 stream, whatever its method: checks, state, guarantee, predicted error.

One of several methods turns the true counts into answers. The object refuses to be copied, counts steps, and stores its state; a state that
another release goes on from would use the same noise for different inputs, so load it once.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import ClassVar, Generic, Literal, NoReturn, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.continual.binary_counts import BinaryCounts
from mechanisms.continual.continual_release import Rows
from mechanisms.continual.counter_design import CounterDesign
from mechanisms.continual.counter_error import error_bound
from mechanisms.continual.per_coordinate import CountQuestion, least_counter_bound, per_coordinate_design
from mechanisms.continual.state_arrays import SecretState
from mechanisms.errors import StateError
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.json_ready import JsonValue, json_record
from mechanisms.noise.source import NoiseSource, SeededNoise, noise_assumptions, noise_source
from mechanisms.validation import in_range, one_of

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


@dataclass(frozen=True, slots=True)
class Choice(Generic[Answer]):
    """A method that may be chosen: its predicted error, and how it is made."""

    bound: float
    make: Callable[[NoiseSource], ReleaseMethod[Answer]]


class CountedRelease(ABC, Generic[Answer]):
    """What `MaxSum` and `SumSelect` share; parameters as `MaxSum`.

    Attributes
    ----------
    bounds_ : predicted error at `beta` of every method that was compared.
    """

    methods: ClassVar[tuple[str, ...]] = ("auto", "recompute", "per_coordinate", "trivial")
    _n_counter_errors: ClassVar[int]  # errors of single counts that add up in an answer of per_coordinate
    _stacklevel: ClassVar[int] = 3  # of the caller of the constructor

    def __init__(
        self,
        horizon: int,
        dim: int,
        *,
        rho: float | None = None,
        epsilon: float | None = None,
        delta: float | None = None,
        beta: float = 0.05,
        neighboring: Neighboring = Neighboring.REPLACE,
        method: str = "auto",
        one_hot: bool = False,
        on_violation: Literal["raise", "clip"] = "raise",
        noise: NoiseSource | None = None,
    ) -> None:
        options = {name: value for name, value in locals().items() if name not in ("self", "noise", "method", "__class__")}
        one_of(self.methods, method=method)
        self._counts, self._beta = BinaryCounts(horizon, dim, one_hot=one_hot, on_violation=on_violation), in_range(0, 1, beta=beta)
        asked = CountQuestion(self._counts.horizon, self._counts.dim, rho, epsilon, delta, self._beta, neighboring, one_hot)
        choice = self._chosen(asked, method)
        self._source = noise_source(noise, stacklevel=self._stacklevel)
        self._method = choice.make(self._source)
        public = json_record(
            {**options, **self._own_options(), "class": type(self).__name__, "method": self.method_, "schema_version": SCHEMA_VERSION}
        )
        self._config_hash = hashlib.sha256(json.dumps(public, sort_keys=True).encode()).hexdigest()
        self._lock = Lock()
        self._usable = True

    @property
    @abstractmethod
    def kind(self) -> str:
        """Name of what is released."""

    @abstractmethod
    def shown(self, row: Rows) -> Answer:
        """Return the answer that a row of `advance` stands for."""

    @abstractmethod
    def _simple_choices(self, asked: CountQuestion) -> dict[str, Choice[Answer]]:
        """Return all methods but per_coordinate."""

    @abstractmethod
    def _per_coordinate(self, design: CounterDesign, source: NoiseSource) -> ReleaseMethod[Answer]:
        """Make the method that counts every coordinate."""

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
        return self.shown(self.advance(self.checked(x)[None])[0])

    def checked(self, x: ArrayLike) -> Counts:
        """Check one step and return it as whole numbers, shape (d,); nothing is drawn or changed."""
        return self._counts.checked(x)

    def require_steps(self, n: int) -> None:
        """Raise BudgetExhaustedError unless n more steps are left."""
        self._require_usable()
        self._counts.require_steps(n)

    def advance(self, steps: Counts) -> Rows:
        """Take checked steps, shape (n, d), and return the answers, shape (n, 1)."""
        with self._lock:
            self.require_steps(len(steps))
            self._usable = False  # until all steps are complete
            answers = []
            for step in steps:
                self._counts.add(step)
                answers.append(self._post_processed(self._method.release(self._counts.sums, step, self.n_seen_)))
            self._usable = True
        return np.array(answers).reshape(-1, 1)

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

    def _chosen(self, asked: CountQuestion, method: str) -> Choice[Answer]:
        """Compare the methods, the counter only where it can win or is asked for, and return the one to take."""
        choices, errors = self._simple_choices(asked), self._n_counter_errors
        least = min(choice.bound for choice in choices.values())
        if method == "per_coordinate" or (method == "auto" and errors * least_counter_bound(asked) < least):
            design = per_coordinate_design(asked)
            bound = errors * error_bound(design, asked.beta, simultaneous=True, n_steps=None)
            choices["per_coordinate"] = Choice(bound, lambda source: self._per_coordinate(design, source))
        self.bounds_ = {name: choice.bound for name, choice in choices.items()}
        return choices[min(self.bounds_, key=self.bounds_.__getitem__) if method == "auto" else method]

    def _own_options(self) -> dict[str, object]:
        """Return further public parameters."""
        return {}

    def _post_processed(self, answer: Answer) -> Answer:
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
