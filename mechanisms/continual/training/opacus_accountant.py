"""The accountant of correlated noise in Opacus's engine: one Gaussian mechanism for the whole run, never amplified.

Opacus's own accountants compose independent, Poisson-sampled steps; for correlated noise and a fixed order of batches their epsilon is too
small. `engine.get_epsilon(delta)` asks this one instead.
"""

from __future__ import annotations

from dataclasses import replace

from opacus.accountants.accountant import IAccountant

from mechanisms.continual.training.training_noise import TrainingNoise
from mechanisms.errors import UnsupportedClaimError
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.noise.source import NoiseSource, noise_assumptions


class CorrelatedNoiseAccountant(IAccountant):  # type: ignore[misc]  # opacus has no types
    """Accountant of a run with correlated noise.

    Parameters
    ----------
    design : of the noise.
    noise_multiplier : base noise / max_grad_norm.
    neighboring : ZERO_OUT or REPLACE.
    source : of the noise; a seeded one becomes an assumption of the guarantee.
    """

    def __init__(self, design: TrainingNoise, noise_multiplier: float, neighboring: Neighboring, source: NoiseSource) -> None:
        self.design, self.noise_multiplier, self.neighboring, self.source = design, noise_multiplier, neighboring, source
        self.history: list[tuple[float, float, int]] = []

    def step(self, *, noise_multiplier: float, sample_rate: float) -> None:  # noqa: ARG002
        """Count a step; the noise multiplier must be the planned one.

        Raises
        ------
        UnsupportedClaimError : it is another one.
        """
        if noise_multiplier != self.noise_multiplier:
            raise UnsupportedClaimError(f"noise_multiplier must stay {self.noise_multiplier:g} during the run, got {noise_multiplier:g}")
        self.history = [(noise_multiplier, 1.0, len(self) + 1)]

    def guarantee(self, delta: float) -> PrivacyGuarantee:
        """Return the guarantee of all planned steps."""
        proved = self.design.guarantee(self.noise_multiplier, delta, self.neighboring)
        return replace(proved, assumptions=proved.assumptions + noise_assumptions(self.source))

    def get_epsilon(self, delta: float) -> float:
        """Return the epsilon of all planned steps, taken or not."""
        return self.guarantee(delta).epsilon

    def __len__(self) -> int:
        return sum(steps for _, _, steps in self.history)

    @classmethod
    def mechanism(cls) -> str:
        """Name in a saved state, so that no other accountant takes it over."""
        return "correlated_noise"


def silence(accountant: IAccountant) -> None:
    """Make an accountant that no longer counts refuse to tell an epsilon."""

    def refuse(*_: object, **__: object) -> float:
        raise UnsupportedClaimError("this accountant doesn't count correlated noise; ask engine.get_epsilon(delta)")

    accountant.get_epsilon = refuse
