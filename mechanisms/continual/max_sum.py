"""The running maximum of d counts, released after every step.

x_t in {0, 1}^d, S_j(t) = x_1j + ... + x_tj, MaxSum(t) = max_j S_j(t). One step moves it by at most 1, whatever d, but a counter of all
coordinates would pay sqrt(d). `method="auto"` takes the least predicted error of `maximum_methods` from public parameters:

    recompute about (T ln / rho)^(1/3), per_coordinate about sqrt(d / rho) ln T, trivial T / 2;  change_driven if the maximum stays small

For T = 4,096 at rho = 1/2 recomputing wins from d = 16 on. That the price is T^(1/3), not a power of ln T, is unavoidable for large d.

References
----------
Jain, Raskhodnikova, Sivakumar, Smith, The Price of Differential Privacy under Continual Observation, ICML 2023.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mechanisms.continual.binary_counts import BinaryCounts
from mechanisms.continual.change_driven import ChangeDrivenMaximum, change_driven_plan
from mechanisms.continual.counted_release import CountedRelease, ReleaseMethod
from mechanisms.continual.exact_budget import exact_budget
from mechanisms.continual.maximum_methods import MaximumPerCoordinate, RecomputedMaximum, TimeAlone, counter_bound, maximum_schedule
from mechanisms.continual.per_coordinate import Asked, least_counter_bound, per_coordinate_design
from mechanisms.guarantee import Neighboring
from mechanisms.json_ready import JsonValue, number_from_json
from mechanisms.noise.source import NoiseSource, noise_source
from mechanisms.validation import in_range, one_of, whole_number

Method = Literal["auto", "recompute", "per_coordinate", "trivial", "change_driven"]
METHODS = ("auto", "recompute", "per_coordinate", "trivial", "change_driven")


class MaxSum(CountedRelease[float]):
    """Releases the largest of d running counts.

    Parameters
    ----------
    horizon : T >= 1.
    dim : d >= 1.
    rho : zCDP budget of the whole stream.
    epsilon, delta : budget instead of rho; epsilon alone is pure.
    beta : failure probability for which the method and its interval are chosen.
    neighboring : REPLACE or ZERO_OUT of one step.
    method : "auto" or one of "recompute", "per_coordinate", "trivial", "change_driven".
    largest : public guess of the last maximum, for "change_driven" (required there); beyond it that method may end and repeat itself.
    one_hot : at most one coordinate of a step is 1; helps per_coordinate.
    monotone : release the running maximum of the releases: never worse.
    on_violation : "raise" or "clip" for inputs outside {0, 1}. That a call raises depends on the data.
    noise : where the noise comes from; None is the operating system.

    Raises
    ------
    ValueError, TypeError : a parameter out of its range.

    Guarantee
    ---------
    rho-zCDP, (epsilon, delta)-DP or epsilon-DP for all releases together under `neighboring` of one step, also if steps are chosen from
    earlier releases. recompute: each recomputation is a release of sensitivity 1 with a share of 1/m, and there is no other secret state,
    so adaptive composition applies; exact integer samplers. per_coordinate: post-processing of a counter. change_driven: sparse vector
    and fresh noisy values, composed. Moving, clipping to [0, t] and the running maximum are post-processing.

    Attributes
    ----------
    method_ : the method that answers.
    bounds_ : predicted error of every method that was compared; per_coordinate is left out where it can't win.

    Examples
    --------
    >>> release = MaxSum(4096, 64, rho=0.5)
    >>> release.method_, release.error_bound() <= 61
    ('recompute', True)
    >>> 0 <= release.update([1] + [0] * 63) <= 1
    True
    """

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
        method: Method = "auto",
        largest: int | None = None,
        one_hot: bool = False,
        monotone: bool = True,
        on_violation: Literal["raise", "clip"] = "raise",
        noise: NoiseSource | None = None,
    ) -> None:
        options = {name: value for name, value in locals().items() if name not in ("self", "noise", "method", "__class__")}
        one_of(METHODS, method=method)
        failure, counts = in_range(0, 1, beta=beta), BinaryCounts(horizon, dim, one_hot=one_hot, on_violation=on_violation)
        asked: Asked = {"rho": rho, "epsilon": epsilon, "delta": delta}
        choices = _simple_choices(counts.horizon, asked, neighboring, failure, largest)
        least = min(choice.bound for choice in choices.values())
        floor = least_counter_bound(counts.horizon, counts.dim, asked, neighboring, failure, one_hot=one_hot)
        if method == "per_coordinate" or (method == "auto" and floor < least):
            choices["per_coordinate"] = _counter_choice(counts, asked, neighboring, failure, one_hot=one_hot)
        self.bounds_ = {name: choice.bound for name, choice in choices.items()}
        chosen = min(self.bounds_, key=self.bounds_.__getitem__) if method == "auto" else method
        if chosen not in choices:
            raise ValueError("largest must be given for change_driven: a public guess of the last maximum, at least 1")
        source = noise_source(noise)
        self._monotone, self._highest = bool(monotone), 0.0
        self._start(counts, choices[chosen].make(source), source, options, failure)

    @property
    def exhausted_(self) -> bool:
        """Whether a change-driven release has spent all its answers and repeats the last one; False for other methods."""
        return isinstance(self._method, ChangeDrivenMaximum) and self._method.exhausted_

    def _shown(self, answer: float) -> float:
        clipped = min(max(answer, 0.0), float(self.n_seen_))
        if not self._monotone:
            return clipped
        self._highest = max(self._highest, clipped)
        return self._highest

    def _shown_state(self) -> JsonValue:
        return self._highest

    def _show_from(self, state: object) -> None:
        self._highest = number_from_json(state)


@dataclass(frozen=True, slots=True)
class _Choice:
    """A method, not made yet."""

    bound: float
    make: Callable[[NoiseSource], ReleaseMethod[float]]


def _simple_choices(horizon: int, asked: Asked, neighboring: Neighboring, beta: float, largest: int | None) -> dict[str, _Choice]:
    budget = exact_budget(**asked)
    schedule = maximum_schedule(horizon, budget, beta)
    choices = {
        "recompute": _Choice(schedule.bound, lambda source: RecomputedMaximum(schedule, budget, neighboring, source)),
        "trivial": _Choice(horizon / 2, lambda _: TimeAlone(horizon, neighboring)),
    }
    if largest is not None:
        plan = change_driven_plan(horizon, budget, neighboring, beta, whole_number(1, largest=largest))
        choices["change_driven"] = _Choice(plan.bound, lambda source: ChangeDrivenMaximum(plan, source))
    return choices


def _counter_choice(counts: BinaryCounts, asked: Asked, neighboring: Neighboring, beta: float, *, one_hot: bool) -> _Choice:
    design = per_coordinate_design(counts.horizon, counts.dim, asked, neighboring, one_hot=one_hot)
    return _Choice(counter_bound(design, beta), lambda source: MaximumPerCoordinate(design, source))
