"""The distribution-inference game with two ratios: which of two shares of a property did the training data of a model have?

    b = 0 or 1 -> S of n_train records, a share alpha_b of them with the property -> M = Train(S) -> adversary sees M, answers b

The adversary knows the public distribution, both ratios, n_train and the training, and has a pool of records disjoint of the victims'.
Accuracy is balanced, (TNR + TPR) / 2; advantage 2 acc - 1 <= TV(M | 0, M | 1).

References
----------
Suri, Evans, Formalizing and Estimating Distribution Inference Risks, PETS 2022. Suri, Lu, Chen, Evans, Dissecting Distribution Inference,
SaTML 2023.
"""

from __future__ import annotations

from dataclasses import dataclass

from attacks.distribution.game_settings import ratio_settings
from attacks.distribution.plan import Plan
from attacks.distribution.ratio_game import RatioGame
from attacks.distribution.result import DistributionInferenceResult
from attacks.distribution.train import Progress
from attacks.distribution.two_worlds import Attacks, play_two_worlds
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import in_range, whole_number


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DistributionInferenceGame(RatioGame):
    """Two worlds that differ in the share of a property.

    Parameters
    ----------
    X, y, prop : the table and the property, see `RatioGame`; its options are keyword-only.
    alpha0, alpha1 : shares with the property, in [0, 1].
    n_train : records of a training sample, before any defense.

    Raises
    ------
    ValueError : values out of range, labels of one class, a world that the table can't give, NaN in the table.

    Notes
    -----
    What can't be concluded: an accuracy near 1/2 shows that these attacks failed, not that nothing leaks; n_leaked is no number of exposed
    people and says nothing about membership; figures belong to the pair of ratios and to n_train; a success is no violation of differential
    privacy, whose promise is about single records.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> prop = rng.random(4000) < 0.5
    >>> X = rng.normal(size=(4000, 3)) + prop[:, None]
    >>> y = (X[:, 0] + rng.normal(size=4000) > 0.5).astype(int)
    >>> DistributionInferenceGame(X, y, prop, 0.5, 0.2, 500)
    DistributionInferenceGame(n_records=4000, n_labels=2, method='quota')
    """

    alpha0: float
    alpha1: float
    n_train: int

    def __post_init__(self) -> None:
        RatioGame.__post_init__(self)
        object.__setattr__(self, "n_train", whole_number(1, n_train=self.n_train))
        for name in ("alpha0", "alpha1"):
            alpha = in_range(0, 1, closed="both", **{name: getattr(self, name)})
            object.__setattr__(self, name, alpha)
            self.law(alpha)

    def run(
        self,
        attacks: Attacks,
        *,
        n_shadow: int = 100,
        n_victim: int = 200,
        repeats: int = 1,
        rng: RngLike = None,
        progress: Progress | None = None,
    ) -> DistributionInferenceResult:
        """Play the game.

        Parameters
        ----------
        attacks : `WorldAttack` objects, or a mapping from names to them; they are cloned.
        n_shadow : shadow models per world and repeat, at least 2 (3 to choose among attacks).
        n_victim : victims per world, over all repeats.
        repeats : shadow draws, each with its own block of victims.
        rng : all that is random, the models' training included.
        progress : called with (models done, models in all, "shadow models" or "victims").

        Returns
        -------
        Counts per attack and block, with the attack that did best on shadow models selected.

        Raises
        ------
        ValueError : a short cell (named), too few shadow models, white-box attacks on models that aren't torch modules.
        """
        generator = as_generator(rng)
        plan = Plan(n_shadow=n_shadow, n_victim=n_victim, repeats=repeats)
        pools_rng, play_rng = generator.spawn(2)
        pair = self.alpha0, self.alpha1
        source = self.worlds(pair, self.n_train, rng=pools_rng)
        played = play_two_worlds(source, pair, attacks, self.chosen_trainer(self.n_train), plan, rng=play_rng, progress=progress)
        return DistributionInferenceResult(
            settings=ratio_settings(self, "two ratios", source, pair, plan, generator),
            outcomes=played.outcomes,
            selected=played.selected,
            training_sizes=played.training_sizes,
            findings=played.findings,
        )
