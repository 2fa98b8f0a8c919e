"""The game "predict which": m ratios, each as likely; the adversary names the one of a victim. Chance is 1 / m.

References
----------
Suri, Evans, Formalizing and Estimating Distribution Inference Risks, PETS 2022.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from attacks.canaries.finding import Finding
from attacks.distribution.attack import WorldAttack
from attacks.distribution.findings import size_findings
from attacks.distribution.game_settings import GameSettings, ratio_settings
from attacks.distribution.plan import Plan
from attacks.distribution.regression_leakage import n_leaked_multi
from attacks.distribution.several_ratios import SeveralRatios
from attacks.distribution.several_worlds import Answered, Fitted, named_objects, play_several_worlds
from attacks.distribution.train import Progress
from attacks.distribution.views import ModelViews
from attacks.distribution.which_ratio import AllPairs, Ids, NearestRatio, RatioEstimator
from mechanisms.json_ready import JsonValue, json_ready
from mechanisms.randomness import RngLike, as_generator

SCHEMA_VERSION = 1

Namers = Sequence[WorldAttack | RatioEstimator] | Mapping[str, WorldAttack | RatioEstimator]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamingOutcome:
    """What one attack did.

    Parameters
    ----------
    name : of the attack.
    confusion : m rows of m counts: victims of ratio i that were taken for ratio j.
    shadow_accuracy : share of shadow models named rightly when held out; None where there are too few.
    """

    name: str
    confusion: tuple[tuple[int, ...], ...]
    shadow_accuracy: float | None

    @property
    def accuracy(self) -> float:
        """Share of right answers, mean over the ratios."""
        return float(np.mean([row[place] / sum(row) for place, row in enumerate(self.confusion)]))

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {
            "name": self.name,
            "confusion": json_ready(self.confusion),
            "shadow_accuracy": self.shadow_accuracy,
            "accuracy": self.accuracy,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiRatioResult:
    """Result of `MultiRatioGame.run`; `selected` is the attack that did best on shadow models."""

    settings: GameSettings
    outcomes: tuple[NamingOutcome, ...]
    selected: str
    findings: tuple[Finding, ...] = ()

    @property
    def chance(self) -> float:
        """Accuracy of a guess, 1 / m."""
        return 1 / len(self.settings.worlds)

    @property
    def accuracy(self) -> float:
        """Accuracy of the selected attack."""
        return next(outcome.accuracy for outcome in self.outcomes if outcome.name == self.selected)

    def n_leaked(self) -> float:
        """Return how many records an ideal observer needs to name the ratio as often as the selected attack; a point estimate."""
        return n_leaked_multi(self.accuracy, self.settings.worlds)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {
            "schema_version": SCHEMA_VERSION,
            "settings": self.settings.to_dict(),
            "outcomes": json_ready(self.outcomes),
            "selected": self.selected,
            "chance": self.chance,
            "n_leaked": json_ready(self.n_leaked()),
            "findings": json_ready(self.findings),
        }


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MultiRatioGame(SeveralRatios):
    """Several worlds that differ in the share of a property.

    Parameters
    ----------
    X, y, prop : the table and the property, see `RatioGame`; its options are keyword-only.
    alphas : at least two different shares in [0, 1]; they are sorted.
    n_train : records of a training sample, before any defense.

    Raises
    ------
    ValueError : values out of range, or a world that the table can't give.
    """

    def run(
        self, attacks: Namers, *, n_shadow: int = 50, n_victim: int = 50, rng: RngLike = None, progress: Progress | None = None
    ) -> MultiRatioResult:
        """Play the game.

        Parameters
        ----------
        attacks : attacks on two worlds, which vote over all pairs, or estimators of the ratio, whose nearest ratio counts.
        n_shadow, n_victim : models per ratio.

        Raises
        ------
        ValueError : a short cell (named), too few shadow models, or what the attacks refuse.
        """
        generator = as_generator(rng)
        plan = Plan(n_shadow=n_shadow, n_victim=n_victim)
        named = named_objects(attacks)
        pools_rng, play_rng = generator.spawn(2)
        source = self.worlds(self.ratios, self.n_train, rng=pools_rng)
        fits = {name: partial(_fitted, attack, source.query_world, self.ratios) for name, attack in named.items()}
        victims = np.repeat(self.ratios, plan.n_victim).tolist()
        answered, sizes = play_several_worlds(
            source,
            self.ratios,
            victims,
            fits,
            list(named.values()),
            self.chosen_trainer(self.n_train),
            n_shadow=plan.n_shadow,
            rng=play_rng,
            progress=progress,
        )
        outcomes = tuple(_outcome(name, answers, len(self.ratios)) for name, answers in answered.items())
        return MultiRatioResult(
            settings=ratio_settings(self, "which ratio", source, self.ratios, plan, generator),
            outcomes=outcomes,
            selected=max(outcomes, key=lambda outcome: outcome.shadow_accuracy or 0.0).name,
            findings=size_findings(self.ratios, sizes.reshape(len(self.ratios), -1)),
        )


def _fitted(attack: WorldAttack | RatioEstimator, query_world: Ids, ratios: Sequence[float], shadows: Sequence[ModelViews]) -> Fitted:
    namer = AllPairs(attack, query_world) if isinstance(attack, WorldAttack) else NearestRatio(attack)
    return namer.fit(shadows, ratios).predict


def _outcome(name: str, answers: Answered, n_ratios: int) -> NamingOutcome:
    truth = np.repeat(np.arange(n_ratios), len(answers.victims) // n_ratios)
    counts = np.zeros((n_ratios, n_ratios), dtype=np.int64)
    np.add.at(counts, (truth, answers.victims.astype(np.intp)), 1)
    right = None if answers.shadows is None else float(np.mean([np.mean(part == world) for world, part in enumerate(answers.shadows)]))
    return NamingOutcome(name=name, confusion=tuple(tuple(row) for row in counts.tolist()), shadow_accuracy=right)
