"""Play a game of several ratios: shadow models of every ratio, attacks fitted on all of them, then victims.

The attack is selected by cross-validation over shadow models, as in the game of two. Cost: m n_shadow trainings, and the victims'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from attacks.distribution.rounds import Rounds, sight_of
from attacks.distribution.shadow_accuracy import enough_to_hold_out, shadow_folds
from attacks.distribution.train import Progress, Trainer
from attacks.distribution.views import ModelViews
from attacks.distribution.worlds import Worlds

Answers = NDArray[np.float64] | NDArray[np.intp]
Fitted = Callable[[ModelViews], Answers]
Fit = Callable[[Sequence[ModelViews]], Fitted]
_Attack = TypeVar("_Attack")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Answered:
    """What one attack answered: about victims, in their order, and about shadow models held out, world by world (None if too few)."""

    victims: Answers
    shadows: list[Answers] | None


def play_several_worlds(
    source: Worlds,
    ratios: Sequence[float],
    victims: Sequence[float],
    fits: Mapping[str, Fit],
    attacks: Sequence[object],
    train: Trainer,
    *,
    n_shadow: int,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> tuple[dict[str, Answered], NDArray[np.int64]]:
    """Play the game.

    Parameters
    ----------
    ratios : of the shadow models; victims : the ratio of each victim.
    fits : by name, a function from shadow models of each ratio to a fitted attack; attacks : the objects behind them.

    Returns
    -------
    The answers of each attack, and the number of training records of each victim.

    Raises
    ------
    ValueError : several attacks with too few shadow models to choose among them.
    """
    if len(fits) > 1 and not enough_to_hold_out([n_shadow] * len(ratios)):
        raise ValueError(f"n_shadow must be at least 3 to choose among {len(fits)} attacks, got {n_shadow}")
    seed_rng, shadow_rng, victim_rng, fold_rng = rng.spawn(4)
    rounds = Rounds(
        worlds=source,
        train=train,
        seed=int(seed_rng.integers(2**32)),
        sight=sight_of(attacks),
        n_models=len(ratios) * n_shadow + len(victims),
        progress=progress,
    )
    shadows = rounds.by_world("adversary", ratios, n_shadow, rng=shadow_rng)
    fitted = {name: fit(shadows) for name, fit in fits.items()}
    held_out = {name: _held_out(fit, shadows, own) for (name, fit), own in zip(fits.items(), fold_rng.spawn(len(fits)), strict=True)}
    views = rounds.views("victim", victims, rng=victim_rng)
    return {name: Answered(answer(views), held_out[name]) for name, answer in fitted.items()}, rounds.sizes["victim"][0]


def named_objects(attacks: Sequence[_Attack] | Mapping[str, _Attack]) -> dict[str, _Attack]:
    """Return attacks by name; a sequence is named by its classes.

    Raises
    ------
    ValueError : no attack, or two of one class in a sequence.
    """
    if isinstance(attacks, Mapping):
        named = dict(attacks)
    else:
        named = {type(attack).__name__: attack for attack in attacks}
        if len(named) < len(attacks):
            raise ValueError("attacks of one class need names of their own: pass a mapping from names to attacks")
    if not named:
        raise ValueError("attacks must hold at least one attack, got none")
    return named


def _held_out(fit: Fit, shadows: Sequence[ModelViews], rng: np.random.Generator) -> list[Answers] | None:
    if not enough_to_hold_out([len(part) for part in shadows]):
        return None
    folds = [[fit(kept)(part) for part in held] for kept, held in shadow_folds(shadows, rng=rng)]
    return [np.concatenate([fold[world] for fold in folds]) for world in range(len(shadows))]
