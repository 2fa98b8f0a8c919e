"""CanaryResult: what a training run showed of its canaries, and what its accountant was told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from attacks.canaries.engine import EngineFacts
from attacks.canaries.likelihood import fitted_noise_multiplier, log_likelihood_ratio
from attacks.scores import MembershipScores
from mechanisms.validation import positive, valid_sample_rate, whole_number

ReadOut = Literal["weights", "gradient"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedRun:
    """What the accountant was told: this is the claim that the conformance tests hold the run to."""

    noise_multiplier: float
    sample_rate: float
    steps: int

    def __post_init__(self) -> None:
        positive(noise_multiplier=self.noise_multiplier)
        valid_sample_rate(self.sample_rate)
        whole_number(0, steps=self.steps)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BatchLog:
    """Which canaries entered the forward passes of each step.

    Parameters
    ----------
    canary_in : (steps, canaries) bool.
    batch_size : (steps,) rows in all, real records included.
    n_records : size of the data set that the sampler draws from.
    """

    canary_in: NDArray[np.bool_]
    batch_size: NDArray[np.int64]
    n_records: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "canary_in", _frozen(self.canary_in, np.bool_))
        object.__setattr__(self, "batch_size", _frozen(self.batch_size, np.int64))

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), {name: getattr(self, name) for name in self.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CanaryResult:
    """Raw signals of a run, with the coins that were thrown.

    Parameters
    ----------
    signals : (steps, canaries) O_t of `likelihood.py`, in units of the clipping norm.
    member : (canaries,) which canaries were in the data.
    displacement : (canaries,) how far training moved each phantom weight, in the units of `signals` summed over steps.
    claimed : what the accountant was told.
    engine : what the engine was set to do.
    batch_log : which canaries entered each step; None where it is not known.
    clipped_length : mean length of a canary's clipped contribution before the noise, in clipping norms; None where it could not be read.
    readout : "weights" for plain SGD, "gradient" (the noisy gradient) for everything else.
    readout_gap : largest difference of the two read-outs where both exist, else None.
    entropy : root entropy of the generator that threw the coins.

    Raises
    ------
    ValueError : shapes that do not agree, signals that are not finite, one-class membership.
    """

    signals: NDArray[np.float64]
    member: NDArray[np.bool_]
    displacement: NDArray[np.float64]
    claimed: ClaimedRun
    engine: EngineFacts
    batch_log: BatchLog | None = None
    clipped_length: float | None = None
    readout: ReadOut = "gradient"
    readout_gap: float | None = None
    entropy: str = "unknown"

    def __post_init__(self) -> None:
        signals, member = _frozen(self.signals, np.float64), _frozen(self.member, np.bool_)
        displacement = _frozen(self.displacement, np.float64)
        if signals.ndim != 2 or 0 in signals.shape:
            raise ValueError(f"signals must have shape (steps, canaries), got {signals.shape}")
        if member.shape != signals.shape[1:] or displacement.shape != signals.shape[1:]:
            raise ValueError(f"member and displacement must have shape {signals.shape[1:]}, got {member.shape} and {displacement.shape}")
        if not np.isfinite(signals).all():
            raise ValueError("signals must be finite: the training diverged, so its canaries can't be read")
        if member.all() or not member.any():
            raise ValueError(f"both members and non-members are needed, got {int(member.sum())} members of {len(member)}")
        if self.clipped_length is not None:
            positive(clipped_length=self.clipped_length)
        for name, array in (("signals", signals), ("member", member), ("displacement", displacement)):
            object.__setattr__(self, name, array)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), {name: getattr(self, name) for name in self.__slots__})

    @property
    def steps(self) -> int:
        """Optimizer steps that were seen."""
        return int(self.signals.shape[0])

    @property
    def n_canaries(self) -> int:
        """Canaries drawn, in the data or not."""
        return int(self.signals.shape[1])

    @property
    def scores(self) -> dict[str, MembershipScores]:
        """Scores of two attackers: "all_steps" sees every noisy gradient (exact LLR), "final_weights" only the last weights."""
        llr = log_likelihood_ratio(self.signals, noise_multiplier=self.claimed.noise_multiplier, sample_rate=self.claimed.sample_rate)
        return {"all_steps": MembershipScores(llr, self.member), "final_weights": MembershipScores(self.displacement, self.member)}

    @property
    def fitted_scores(self) -> MembershipScores:
        """Exact LLR of all steps at the noise that the signals show instead of the claimed one; fitted without the coins."""
        rate = self.claimed.sample_rate
        noise_multiplier = fitted_noise_multiplier(self.signals, sample_rate=rate)
        return MembershipScores(log_likelihood_ratio(self.signals, noise_multiplier=noise_multiplier, sample_rate=rate), self.member)


def _frozen(values: object, dtype: type[np.generic]) -> NDArray[np.generic]:
    array = np.array(values, dtype=dtype)
    array.flags.writeable = False
    return array


def _rebuild(record: type[object], values: dict[str, object]) -> object:
    return record(**values)
