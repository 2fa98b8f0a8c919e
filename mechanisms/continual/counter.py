"""The continual counter: a running sum of a stream, released after every step, private for the whole stream at once.

    release_t = S(t) + (L z)_t,  S(t) = x_1 + ... + x_t        A = L R, z base noise (`factorization`)

The noise of a release is a small share of what a fresh release of every sum would need: for T = 65,536 steps at rho = 1/2 the standard
deviation is about 4, where independent releases would need 256.

What a counter spends is fixed at its construction (`counter_design`, `counter_budget`). Inputs are checked before anything is drawn or
changed. Inside, sums are whole multiples of a unit, so they are exact.

Symbols: T horizon, L, R factors, Delta sensitivity of R, c change of a step (`step_sensitivity`). Cost: a step about 10 us for one
coordinate; batches about 0.3 us a step.

References
----------
Dwork, Naor, Pitassi, Rothblum, STOC 2010. Chan, Shi, Song, TISSEC 2011. Denisov, McMahan, Rush, Smith, Thakurta, NeurIPS 2022.
Fichtenberger, Henzinger, Upadhyay, ICML 2023. Henzinger, Upadhyay, Upadhyay, SODA 2023.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from threading import Lock
from typing import Literal, NoReturn, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.continual.block_noise import BlockNoise
from mechanisms.continual.catalog import Objective
from mechanisms.continual.counter_budget import CounterBudget
from mechanisms.continual.counter_design import CounterDesign, design_counter
from mechanisms.continual.counter_error import error_bound, variances
from mechanisms.continual.factorization import Noise
from mechanisms.continual.float_cost import ARITHMETIC_ASSUMPTION
from mechanisms.continual.state_arrays import SecretState, pack_array, unpack_array, unpack_arrays
from mechanisms.errors import BudgetExhaustedError, StateError
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.noise.source import NoiseSource, noise_assumptions, noise_source
from mechanisms.validation import whole_number

Release = int | float | NDArray[np.int64] | NDArray[np.float64]
Releases = NDArray[np.int64] | NDArray[np.float64]
SCHEMA_VERSION = 1


class ContinualCounter:
    """Releases a running sum after every step.

    Parameters
    ----------
    horizon : T >= 1, number of steps; None where it isn't known (Gaussian noise; at most 2^22 steps).
    rho : zCDP budget of the whole stream.
    epsilon, delta : budget instead of rho. With delta > 0 Gaussian noise by the exact curve (integer path: by zCDP), everything included;
        epsilon alone gives Laplace noise.
    mechanism : "auto" takes the least predicted error; or "tree", "honaker", "smooth", "k_ary", "square_root", "buffered_toeplitz",
        "scaled_square_root", "dense".
    neighboring : ZERO_OUT (a step becomes zero) or REPLACE (a step becomes any other one).
    dim : coordinates of a step.
    bound : largest absolute value of a coordinate.
    noise : where the noise comes from; None is the operating system.
    on_violation : "raise" or "clip" for inputs out of bounds. That a call raises depends on the data, so prefer "clip" in production.
    granularity : what releases of real values are rounded to; None takes 2^-10 of the bound or more, far below the noise.
    objective : "mean" or "max" error over steps.
    whole : inputs are whole numbers and so are the releases; False for real values.
    signed : inputs may be negative; False halves the noise under REPLACE.
    one_hot : at most one coordinate of a step is 1, the others are 0: the change is 1, whatever dim.

    Raises
    ------
    ValueError, TypeError : a parameter out of its range, or pure privacy with a mechanism that has no exact noise for it.

    Guarantee
    ---------
    rho-zCDP or (epsilon, delta)-DP for all releases together under `neighboring` of one step, also if inputs are chosen from earlier
    releases. Proof: rotate z so that R is lower triangular; then step t releases one more Gaussian coordinate of R x + z, whose mean
    depends on the challenge by R e_s times its change, and along every path these shifts have the norm Delta c at most: adaptive
    composition of Gaussian mechanisms (Denisov et al. 2022, theorem 2.1). Laplace: for fixed releases the two worlds' z differ by the
    constant R e_s times the change, so their densities differ by exp(Delta_1 c_1 / b). What floats and samplers add is in `budget_`.

    Attributes
    ----------
    n_seen_ : steps released so far.
    factorization_ : A = L R.

    Examples
    --------
    >>> counter = ContinualCounter(1000, rho=0.5)
    >>> releases = [counter.update(x) for x in (1, 0, 1)]
    >>> counter.n_seen_, round(counter.variance(1000) ** 0.5)
    (3, 3)
    """

    kind = "continual counter"

    def __init__(
        self,
        horizon: int | None,
        *,
        rho: float | None = None,
        epsilon: float | None = None,
        delta: float | None = None,
        mechanism: str = "auto",
        neighboring: Neighboring = Neighboring.ZERO_OUT,
        dim: int = 1,
        bound: float = 1.0,
        noise: NoiseSource | None = None,
        on_violation: Literal["raise", "clip"] = "raise",
        granularity: float | None = None,
        objective: Objective = "mean",
        whole: bool = True,
        signed: bool = True,
        one_hot: bool = False,
    ) -> None:
        options = {name: value for name, value in locals().items() if name not in ("self", "noise")}
        self._start(design_counter(**options), noise_source(noise))

    @classmethod
    def from_design(cls, design: CounterDesign, *, noise: NoiseSource | None = None) -> Self:
        """Return a fresh counter of a design."""
        counter = cls.__new__(cls)
        counter._start(design, noise_source(noise))
        return counter

    def _start(self, design: CounterDesign, source: NoiseSource) -> None:
        self.design_, self.factorization_, self.n_seen_ = design, design.factorization, 0
        self._secure, self._assumptions = source.secure, noise_assumptions(source)
        self._draw = BlockNoise(source, design.law, design.scale, design.domain.dim)
        self._stream = self.factorization_.stream(design.domain.dim)
        self._total = np.zeros(design.domain.dim, dtype=np.int64)
        self._scalar = design.domain.dim == 1
        self._lock = Lock()
        self._usable = True

    @property
    def budget_(self) -> CounterBudget:
        """What the whole stream spends; rho is told as an epsilon at delta = 1e-6, see `guarantee_at`."""
        budget = self.design_.budget()
        return replace(budget, secure_noise=self._secure)

    @property
    def guarantee(self) -> PrivacyGuarantee:
        """What holds for all releases together."""
        return self.guarantee_at(None)

    def guarantee_at(self, delta: float | None) -> PrivacyGuarantee:
        """Return the guarantee with the epsilon at another delta."""
        budget, design = self.design_.budget(delta), self.design_
        floats = (ARITHMETIC_ASSUMPTION,) if design.law == "gaussian" else ()
        name = f"continual counter, {self.factorization_.name}"
        return PrivacyGuarantee(budget.epsilon, budget.delta, design.neighboring, "step", name, (*floats, *self._assumptions))

    def update(self, x: ArrayLike) -> Release:
        """Take one step and return its release: a number, or an array of shape (dim,).

        Raises
        ------
        BudgetExhaustedError : all T steps have been released.
        ValueError, TypeError : bad input; nothing has been drawn or changed.
        StateError : an earlier step was interrupted.
        """
        units = self.design_.domain.scalar(x) if self._scalar else None
        if units is not None:
            return self._step_scalar(units)
        return self.shown(self.advance(self.checked(x)[None])[0])

    def release_many(self, X: ArrayLike) -> Releases:
        """Take many steps at once; with the same noise the releases are those of `update`.

        Returns
        -------
        Array of shape (n,) for one coordinate, (n, dim) otherwise.
        """
        releases = self.advance(self.design_.domain.steps(X))
        return self.in_values(releases[:, 0] if self._scalar else releases)

    def variance(self, t: ArrayLike) -> float | NDArray[np.float64]:
        """Return the variance of release t per coordinate, 1 <= t <= T; for arrays of steps an array."""
        return variances(self.design_, t)

    def error_bound(self, beta: float, simultaneous: bool = True, *, n_steps: int | None = None) -> float:
        """Return what the error stays below with probability 1 - beta.

        Parameters
        ----------
        beta : failure probability in (0, 1).
        simultaneous : for all steps and coordinates at once; False: for any one of them.
        n_steps : the first so many steps; None takes the horizon, without which it is required.
        """
        return error_bound(self.design_, beta, simultaneous=simultaneous, n_steps=n_steps)

    def state_dict(self) -> SecretState:
        """Return the state, JSON-ready. It holds the true sum and the noise: keep it as secret as the data."""
        with self._lock:
            self._require_usable()
            return SecretState(
                schema_version=SCHEMA_VERSION,
                config_hash=self.design_.config_hash(),
                n_seen=self.n_seen_,
                total=pack_array(self._total),
                stream={name: pack_array(value) for name, value in self._stream.state().items()},
                noise=self._draw.place(),
            )

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Continue where `state_dict` stood. Two counters that go on from one state reuse noise: `open_counter` keeps that from happening.

        Raises
        ------
        StateError : this counter has released something already, or the state is of another counter or damaged.
        """
        with self._lock:
            if self.n_seen_ or not self._usable:
                raise StateError(f"a state is loaded into a fresh counter only, this one is at step {self.n_seen_}")
            if state.get("schema_version") != SCHEMA_VERSION or state.get("config_hash") != self.design_.config_hash():
                raise StateError("the state is of a counter with other parameters; make one with the parameters of the state")
            try:
                self._restore(state)
            except (KeyError, TypeError, ValueError) as error:
                self._usable = False
                raise StateError(f"the state can't be loaded: {error}") from None

    def advance(self, units: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the releases of further steps, inputs in units (n, dim), as multiples of the grid."""
        with self._lock:
            self.require_steps(len(units))
            if not len(units):
                return units
            self._usable = False  # until all steps are complete
            n = len(units)
            noise = self._stream.run(self._draw, n) if n > 1 else self._stream.step(self._draw)[None]
            sums = units + self._total if n == 1 else np.cumsum(units, axis=0) + self._total
            self._total = sums[-1].copy()
            self.n_seen_ += n
            self._usable = True
        return self._on_grid(sums, noise)

    def checked(self, x: ArrayLike) -> NDArray[np.int64]:
        """Check one input and return it in units, shape (dim,); nothing is drawn or changed."""
        units: NDArray[np.int64] = self.design_.domain.step(x)[0]
        return units

    def shown(self, multiples: Releases) -> Release:
        """Return one release from its multiples of the grid, shape (dim,)."""
        values = self.in_values(multiples)
        return values[0].item() if self._scalar else values

    def in_values(self, multiples: Releases) -> Releases:
        """Turn multiples of the grid into values."""
        return multiples if self.design_.domain.whole else multiples.astype(np.float64) * self.design_.grid

    def require_steps(self, n: int) -> None:
        """Raise BudgetExhaustedError unless n more steps are left."""
        self._require_usable()
        if self.n_seen_ + n > self.design_.horizon:
            left = self.design_.horizon - self.n_seen_
            raise BudgetExhaustedError(
                f"{n:,} more steps were asked for and {left:,} of {self.design_.horizon:,} are left; start a new counter"
            )

    def _restore(self, state: Mapping[str, object]) -> None:
        n_seen, place = whole_number(0, n_seen=state["n_seen"]), state["noise"]
        total = unpack_array(state["total"]).astype(np.int64)
        if total.shape != self._total.shape or (place is not None and not isinstance(place, Mapping)):
            raise ValueError("state is damaged")
        if n_seen:
            self._stream.restore(unpack_arrays(state["stream"]), n_seen)
        self._draw.return_to(place)
        self._total, self.n_seen_ = total, n_seen

    def _step_scalar(self, units: int) -> int | float:
        with self._lock:
            self.require_steps(1)
            self._usable = False  # until the step is complete
            noise = self._stream.step(self._draw).item()
            self._total[0] += units
            total = self._total.item()
            self.n_seen_ += 1
            self._usable = True
        grid_units = self.design_.grid_units
        if grid_units == 1:
            multiple = total + round(noise)
        else:
            whole, rest = divmod(total, grid_units)
            multiple = whole + round((rest + noise) / grid_units)
        return multiple if self.design_.domain.whole else multiple * self.design_.grid

    def _on_grid(self, sums: NDArray[np.int64], noise: Noise) -> NDArray[np.int64]:
        """Return sums plus noise, rounded to multiples of the grid; both arrays are the caller's to overwrite."""
        if noise.dtype.kind == "i":
            sums += cast("NDArray[np.int64]", noise)
            return sums
        grid_units = self.design_.grid_units
        if grid_units > 1:
            sums, rest = np.divmod(sums, grid_units)
            noise += rest
            noise /= grid_units
        sums += np.rint(noise, out=noise).astype(np.int64)
        return sums

    def _require_usable(self) -> None:
        if not self._usable:
            raise StateError("an earlier step was interrupted, so its noise is half drawn; go on from a stored state")

    def __repr__(self) -> str:
        horizon = f"{self.design_.horizon:,}" if self.design_.has_horizon else "unknown"
        return f"ContinualCounter({self.factorization_.name}, step {self.n_seen_:,} of {horizon}, dim {self.design_.domain.dim:,})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a counter can't be copied or pickled: two copies would use the same noise for different inputs; see state_dict")
