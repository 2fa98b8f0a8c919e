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

from typing import Unpack

from mechanisms.continual.change_driven import ChangeDrivenMaximum, change_driven_plan
from mechanisms.continual.continual_release import Rows
from mechanisms.continual.counted_release import Choice, CountedRelease
from mechanisms.continual.counter_design import CounterDesign
from mechanisms.continual.counter_options import CountedOptions
from mechanisms.continual.maximum_methods import MaximumPerCoordinate, RecomputedMaximum, TimeAlone, maximum_schedule
from mechanisms.continual.per_coordinate import CountQuestion
from mechanisms.json_ready import JsonValue, number_from_json
from mechanisms.noise.source import NoiseSource
from mechanisms.validation import whole_number


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

    kind = "maximum of counts"
    methods = (*CountedRelease.methods, "change_driven")
    _n_counter_errors = 1
    _stacklevel = 4

    def __init__(
        self, horizon: int, dim: int, *, largest: int | None = None, monotone: bool = True, **options: Unpack[CountedOptions]
    ) -> None:
        self._largest, self._monotone, self._highest = largest, monotone, 0.0
        super().__init__(horizon, dim, **options)

    @property
    def exhausted_(self) -> bool:
        """Whether a change-driven release has spent all its answers and repeats the last one; False for other methods."""
        return isinstance(self._method, ChangeDrivenMaximum) and self._method.exhausted_

    def shown(self, row: Rows) -> float:
        """Return the answer that a row of `advance` stands for."""
        return float(row[0])

    def _simple_choices(self, asked: CountQuestion) -> dict[str, Choice[float]]:
        budget, T, relation = asked.budget(), asked.horizon, asked.neighboring
        schedule = maximum_schedule(T, budget, asked.beta)
        choices: dict[str, Choice[float]] = {
            "recompute": Choice(schedule.bound, lambda source: RecomputedMaximum(schedule, budget, relation, source)),
            "trivial": Choice(T / 2, lambda _: TimeAlone(T, relation)),
        }
        if self._largest is not None:
            plan = change_driven_plan(T, budget, relation, asked.beta, whole_number(1, largest=self._largest))
            choices["change_driven"] = Choice(plan.bound, lambda source: ChangeDrivenMaximum(plan, source))
        return choices

    def _chosen(self, asked: CountQuestion, method: str) -> Choice[float]:
        if method == "change_driven" and self._largest is None:
            raise ValueError("largest must be given for change_driven: a public guess of the last maximum, at least 1")
        return super()._chosen(asked, method)

    def _per_coordinate(self, design: CounterDesign, source: NoiseSource) -> MaximumPerCoordinate:
        return MaximumPerCoordinate(design, source)

    def _own_options(self) -> dict[str, object]:
        return {"largest": self._largest, "monotone": self._monotone}

    def _post_processed(self, answer: float) -> float:
        clipped = min(max(answer, 0.0), float(self.n_seen_))
        if not self._monotone:
            return clipped
        self._highest = max(self._highest, clipped)
        return self._highest

    def _shown_state(self) -> JsonValue:
        return self._highest

    def _show_from(self, state: object) -> None:
        self._highest = number_from_json(state)
