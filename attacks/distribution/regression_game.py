"""The regression game: alpha is drawn from a known prior, the adversary answers with an estimate; loss (alpha_hat - alpha)^2.

A small error alone says little: always answering 1/2 has no error at 1/2. So the bias stands beside it, and `n_leaked` compares with the
best estimate from n records averaged over the prior, which a constant does not beat.

References
----------
Suri, Evans, Formalizing and Estimating Distribution Inference Risks, PETS 2022.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from attacks.canaries.finding import Finding
from attacks.distribution.findings import size_findings
from attacks.distribution.game_settings import GameSettings, ratio_settings
from attacks.distribution.plan import Plan
from attacks.distribution.regression_leakage import n_leaked_regression
from attacks.distribution.several_ratios import SeveralRatios
from attacks.distribution.several_worlds import Answered, Fitted, named_objects, play_several_worlds
from attacks.distribution.train import Progress
from attacks.distribution.views import ModelViews
from attacks.distribution.which_ratio import RatioEstimator
from mechanisms.json_ready import JsonValue, json_ready
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import one_of

SCHEMA_VERSION = 1
PRIORS = ("grid", "interval")
PRIOR_POINTS = 101

Prior = Literal["grid", "interval"]
Estimators = Sequence[RatioEstimator] | Mapping[str, RatioEstimator]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegressionOutcome:
    """What one attack answered.

    Parameters
    ----------
    name : of the attack.
    alpha, alpha_hat : (V,) ratio and estimate of each victim.
    shadow_mse : mean squared error on held-out shadow models, mean over the ratios; None where there are too few.
    """

    name: str
    alpha: tuple[float, ...]
    alpha_hat: tuple[float, ...]
    shadow_mse: float | None

    @property
    def mse(self) -> float:
        """Mean of (alpha_hat - alpha)^2 over victims."""
        return float(np.mean(np.subtract(self.alpha_hat, self.alpha) ** 2))

    @property
    def bias(self) -> float:
        """Mean of alpha_hat - alpha over victims."""
        return float(np.mean(np.subtract(self.alpha_hat, self.alpha)))

    def by_ratio(self) -> list[dict[str, JsonValue]]:
        """Return alpha, number of victims, bias and mse for every ratio that victims had."""
        truth, guess = np.asarray(self.alpha), np.asarray(self.alpha_hat)
        rows: list[dict[str, JsonValue]] = []
        for alpha in np.unique(truth):
            error = guess[truth == alpha] - alpha
            rows.append({"alpha": float(alpha), "n_victim": len(error), "bias": float(error.mean()), "mse": float(np.mean(error**2))})
        return rows

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {
            "name": self.name,
            "mse": self.mse,
            "bias": self.bias,
            "shadow_mse": self.shadow_mse,
            "alpha": list(self.alpha),
            "alpha_hat": list(self.alpha_hat),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioRegressionResult:
    """Result of `RatioRegressionGame.run`; `selected` is the attack with the smallest error on shadow models."""

    settings: GameSettings
    prior: Prior
    outcomes: tuple[RegressionOutcome, ...]
    selected: str
    findings: tuple[Finding, ...] = ()

    @property
    def outcome(self) -> RegressionOutcome:
        """What the selected attack answered."""
        return next(outcome for outcome in self.outcomes if outcome.name == self.selected)

    @property
    def mse(self) -> float:
        """Mean squared error of the selected attack."""
        return self.outcome.mse

    @property
    def bias(self) -> float:
        """Bias of the selected attack."""
        return self.outcome.bias

    @property
    def prior_variance(self) -> float:
        """The mean squared error of always answering the prior's mean."""
        ratios = self.settings.worlds
        return float(np.var(ratios)) if self.prior == "grid" else (ratios[-1] - ratios[0]) ** 2 / 12

    def n_leaked(self) -> float:
        """Return from how many records the best estimate has the selected attack's error; a point estimate.

        Notes
        -----
        An interval other than [0, 1] is taken as 101 points, each as likely.
        """
        ratios = self.settings.worlds
        if self.prior == "grid":
            return n_leaked_regression(self.mse, prior=ratios)
        whole = (ratios[0], ratios[-1]) == (0.0, 1.0)
        return n_leaked_regression(self.mse, prior="uniform" if whole else np.linspace(ratios[0], ratios[-1], PRIOR_POINTS))

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {
            "schema_version": SCHEMA_VERSION,
            "settings": self.settings.to_dict(),
            "prior": self.prior,
            "prior_variance": self.prior_variance,
            "outcomes": json_ready(self.outcomes),
            "selected": self.selected,
            "n_leaked": json_ready(self.n_leaked()),
            "findings": json_ready(self.findings),
        }


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RatioRegressionGame(SeveralRatios):
    """Worlds of every ratio of a prior.

    Parameters
    ----------
    X, y, prop : the table and the property, see `RatioGame`; its options are keyword-only.
    alphas : at least two different shares in [0, 1], which shadow models are trained at; they are sorted.
    n_train : records of a training sample, before any defense.
    prior : of the victims' ratio: "grid", each of `alphas` as likely, or "interval", uniform from the smallest to the largest.

    Raises
    ------
    ValueError : values out of range, or a world that the table can't give.
    """

    _: KW_ONLY
    prior: Prior = "grid"

    def __post_init__(self) -> None:
        SeveralRatios.__post_init__(self)
        one_of(PRIORS, prior=self.prior)

    def run(
        self, attacks: Estimators, *, n_shadow: int = 30, n_victim: int = 30, rng: RngLike = None, progress: Progress | None = None
    ) -> RatioRegressionResult:
        """Play the game.

        Parameters
        ----------
        attacks : estimators of the ratio, e.g. `RatioRegressor()`; they are cloned.
        n_shadow, n_victim : models per ratio of `alphas`; with an interval, the same number of victims in all.

        Raises
        ------
        ValueError : a short cell (named), too few shadow models, or what the attacks refuse.
        """
        generator = as_generator(rng)
        plan = Plan(n_shadow=n_shadow, n_victim=n_victim)
        named = named_objects(attacks)
        pools_rng, draw_rng, play_rng = generator.spawn(3)
        source = self.worlds(self.ratios, self.n_train, rng=pools_rng)
        victims = self._victims(plan.n_victim, draw_rng)
        fits = {name: partial(_fitted, attack, self.ratios) for name, attack in named.items()}
        answered, sizes = play_several_worlds(
            source,
            self.ratios,
            victims.tolist(),
            fits,
            list(named.values()),
            self.chosen_trainer(self.n_train),
            n_shadow=plan.n_shadow,
            rng=play_rng,
            progress=progress,
        )
        outcomes = tuple(_outcome(name, victims, answers, self.ratios) for name, answers in answered.items())
        upper = victims > np.median(victims)
        halves = (float(victims[~upper].mean()), float(victims[upper].mean()))
        return RatioRegressionResult(
            settings=ratio_settings(self, "ratio regression", source, self.ratios, plan, generator),
            prior=self.prior,
            outcomes=outcomes,
            selected=min(outcomes, key=lambda outcome: np.inf if outcome.shadow_mse is None else outcome.shadow_mse).name,
            findings=size_findings(halves, (sizes[~upper], sizes[upper])),
        )

    def _victims(self, n_victim: int, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        if self.prior == "grid":
            return np.repeat(self.ratios, n_victim)
        return rng.uniform(self.ratios[0], self.ratios[-1], n_victim * len(self.ratios))


def _fitted(attack: RatioEstimator, ratios: Sequence[float], shadows: Sequence[ModelViews]) -> Fitted:
    fitted: RatioEstimator = clone(attack).fit(list(shadows), np.array(ratios))
    return fitted.predict


def _outcome(name: str, victims: ArrayLike, answers: Answered, ratios: Sequence[float]) -> RegressionOutcome:
    guess = np.asarray(answers.victims, dtype=np.float64)
    errors = None
    if answers.shadows is not None:
        errors = float(np.mean([np.mean((part - alpha) ** 2) for alpha, part in zip(ratios, answers.shadows, strict=True)]))
    return RegressionOutcome(name=name, alpha=tuple(np.asarray(victims).tolist()), alpha_hat=tuple(guess.tolist()), shadow_mse=errors)
