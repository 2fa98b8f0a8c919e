"""The games of an audit of a training distribution: one for each pair of ratios, with the attack that its shadow models choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

from privacy_audit.audits.coupling import Coupling, coupled_draws, coupled_quotas
from privacy_audit.audits.provenance import Progress

if TYPE_CHECKING:
    from attacks.distribution.attack import WorldAttack
    from attacks.distribution.defense import Defense
    from attacks.distribution.game import DistributionInferenceGame
    from attacks.distribution.result import DistributionInferenceResult
    from attacks.distribution.train import Trainer

    Attacks = Sequence[WorldAttack] | Mapping[str, WorldAttack]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RatioGames:
    """How the games of all pairs are played.

    Parameters
    ----------
    data : (X, y, prop).
    n_train, n_shadow, n_victim : records a sample; shadow models and victims of each world.
    n_queries, method, label_rate, train, defense : see `audit_distribution`.
    attacks : None takes the black-box ones.
    """

    data: tuple[ArrayLike, ArrayLike, ArrayLike]
    n_train: int
    n_shadow: int
    n_victim: int
    n_queries: int
    method: Literal["quota", "iid"]
    label_rate: ArrayLike | None
    train: Trainer | None
    defense: Defense | None
    attacks: Attacks | None

    @property
    def n_models(self) -> int:
        """Trainings of one pair."""
        return 2 * (self.n_shadow + self.n_victim) * (1 if self.defense is None else 2)

    def play(self, pair: tuple[float, float], *, rng: np.random.Generator, progress: Progress) -> PlayedPair:
        """Play the game of one pair; with a defense a second one, whose adversary does not know of it.

        Raises
        ------
        ValueError : the pair's training sets don't differ, or what the game refuses.
        """
        game = self._game(pair)
        coupling = coupling_of(game)
        if coupling.mean == 0:
            raise ValueError(f"ratios {pair[0]:g} and {pair[1]:g} give the same training sets of {self.n_train} records; take others")
        first, second = rng.spawn(2)
        result = self._run(game, first, progress)
        undefended = None if self.defense is None else self._run(replace(game, adaptive=False), second, progress)
        return PlayedPair(result=result, coupling=coupling, undefended=undefended)

    def _game(self, pair: tuple[float, float]) -> DistributionInferenceGame:
        from attacks.distribution.game import DistributionInferenceGame

        return DistributionInferenceGame(
            *self.data,
            *pair,
            self.n_train,
            n_queries=self.n_queries,
            method=self.method,
            label_rate=self.label_rate,
            trainer=self.train,
            defense=self.defense,
        )

    def _run(self, game: DistributionInferenceGame, rng: np.random.Generator, progress: Progress) -> DistributionInferenceResult:
        attacks = black_box_attacks() if self.attacks is None else self.attacks
        return game.run(attacks, n_shadow=self.n_shadow, n_victim=self.n_victim, rng=rng, progress=progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayedPair:
    """What came out of one pair's game.

    Parameters
    ----------
    result : of the adversary who knows all that is done.
    coupling : in how many records training sets of the two worlds differ, before any defense.
    undefended : result of an adversary whose shadow models lack the defense; None without one.
    """

    result: DistributionInferenceResult
    coupling: Coupling
    undefended: DistributionInferenceResult | None


def coupling_of(game: DistributionInferenceGame) -> Coupling:
    """Return in how many records samples of the game's worlds differ."""
    from attacks.distribution.resample import largest_remainder

    law_0, law_1, n = game.law(game.alpha0), game.law(game.alpha1), game.n_train
    if game.method == "iid":
        return coupled_draws(law_0, law_1, n)
    return coupled_quotas(largest_remainder(n * law_0), largest_remainder(n * law_1))


def black_box_attacks() -> list[WorldAttack]:
    """Return fresh black-box attacks; what they need to see is a victim's answers."""
    from attacks.distribution.combined import CombinedAttack
    from attacks.distribution.kl_test import KLTest
    from attacks.distribution.loss_test import LossTest
    from attacks.distribution.output_meta_classifier import OutputMetaClassifier
    from attacks.distribution.per_point import PerPointThresholdTest
    from attacks.distribution.threshold_test import ThresholdTest

    return [CombinedAttack(), OutputMetaClassifier(), KLTest(), PerPointThresholdTest(), ThresholdTest(), LossTest()]
