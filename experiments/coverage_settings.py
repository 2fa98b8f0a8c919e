"""Settings of the coverage experiment: mechanisms whose epsilon is known, and attacks on them whose scores are drawn directly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attacks.scores import AttackCounts, MembershipScores
from mechanisms.accounting.gaussian import gaussian_epsilon

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Setting:
    """One mechanism: its epsilon at delta, an attack's fixed threshold, and how scores come about, given who is a member."""

    name: str
    epsilon: float
    delta: float
    threshold: float
    draw: Callable[[BoolArray, np.random.Generator], FloatArray]
    gaussian: bool = False  # whether its privacy curve is that of a Gaussian mechanism


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One simulated audit; members by independent fair coins, so that one-run methods apply too."""

    setting: Setting
    scores: MembershipScores
    seed: int

    @property
    def counts(self) -> AttackCounts:
        """The counts at the setting's fixed threshold."""
        return AttackCounts.from_scores(self.scores, self.setting.threshold)


def _randomized_response(epsilon: float) -> Callable[[BoolArray, np.random.Generator], FloatArray]:
    truthful = 1 / (1 + np.exp(-epsilon))
    return lambda member, rng: (member == (rng.random(len(member)) < truthful)).astype(np.float64)


def _laplace(epsilon: float) -> Callable[[BoolArray, np.random.Generator], FloatArray]:
    return lambda member, rng: rng.laplace(size=len(member)) + epsilon * member


def _gaussian(mu: float) -> Callable[[BoolArray, np.random.Generator], FloatArray]:
    return lambda member, rng: rng.standard_normal(len(member)) + mu * member


# at their thresholds randomized response sits on the corner of the privacy region, Laplace scores on its edge
SETTINGS = (
    Setting("randomized response, 1", 1.0, 0.0, 0.5, _randomized_response(1.0)),
    Setting("randomized response, 4", 4.0, 0.0, 0.5, _randomized_response(4.0)),
    Setting("Laplace, 1", 1.0, 0.0, 1.0, _laplace(1.0)),
    Setting("Laplace, 4", 4.0, 0.0, 4.0, _laplace(4.0)),
    Setting("Gaussian, mu 1", gaussian_epsilon(1.0, 1e-5), 1e-5, 2.0, _gaussian(1.0), gaussian=True),
    Setting("no leak", 0.0, 0.0, 1.0, _gaussian(0.0)),
)


def trials(setting: Setting, block: int, *, runs: int, n: int, seed: int) -> list[Trial]:
    """Return the simulated audits of one block; the same for whoever asks."""
    drawn = []
    for stream in np.random.SeedSequence([seed, SETTINGS.index(setting), block]).spawn(runs):
        rng = np.random.default_rng(stream)
        member = rng.random(n) < 0.5
        drawn.append(Trial(setting, MembershipScores(setting.draw(member, rng), member), int(rng.integers(2**31))))
    return drawn
