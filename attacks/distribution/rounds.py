"""One game's trainings: models are numbered through, their randomness comes from the game's seed, and only views of them are kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from attacks.distribution.attack import WorldAttack
from attacks.distribution.train import Progress, Sight, Trainer, train_views
from attacks.distribution.views import ModelViews
from attacks.distribution.worlds import Side, Worlds


@dataclass(slots=True, kw_only=True)
class Rounds:
    """Trains shadow models and victims of a game.

    Parameters
    ----------
    worlds, train : where samples come from, and who trains.
    seed : of all models' own randomness.
    sight : what the attacks ask to see.
    n_models : trained in all, for `progress`, which is called with (done, n_models, side).

    Attributes
    ----------
    sizes : numbers of training records of the models so far, by side, one array per call.
    seen : the same of the records seen in training, epochs times records, where every model says so (scikit-learn's `t_`); else absent.
    """

    worlds: Worlds
    train: Trainer
    seed: int
    sight: Sight
    n_models: int
    progress: Progress | None = None
    sizes: dict[Side, list[NDArray[np.int64]]] = field(default_factory=dict)
    seen: dict[Side, list[NDArray[np.int64]]] = field(default_factory=dict)
    _done: int = 0

    def views(self, side: Side, worlds: Sequence[float], *, rng: np.random.Generator) -> ModelViews:
        """Train one model per entry of `worlds` and return what the adversary sees of them."""
        samples = self.worlds.samples(side, worlds, rng=rng)
        self.sizes.setdefault(side, []).append(samples.sizes)
        first = self._done

        def onward(done: int, _total: int, _label: str) -> None:
            if self.progress is not None:
                self.progress(first + done, self.n_models, "shadow models" if side == "adversary" else "victims")

        models_seen: list[int] = []

        def note(model: object) -> None:
            if isinstance(found := getattr(model, "t_", None), int | float | np.number):
                models_seen.append(int(found))

        options = {"seed": self.seed, "first_model": first}
        views = train_views(self.train, samples, self.worlds.queries, **options, sight=self.sight, on_model=note, progress=onward)
        if len(models_seen) == len(samples):
            self.seen.setdefault(side, []).append(np.array(models_seen, dtype=np.int64))
        self._done += len(samples)
        return views

    def by_world(self, side: Side, worlds: Sequence[float], n_models: int, *, rng: np.random.Generator) -> tuple[ModelViews, ...]:
        """Train `n_models` models per world and return the views of each world."""
        together = self.views(side, np.repeat(worlds, n_models).tolist(), rng=rng)
        return tuple(together[slice(k * n_models, (k + 1) * n_models)] for k in range(len(worlds)))


def sight_of(attacks: Iterable[WorldAttack | object]) -> Sight:
    """What some attacks need to see: weights if one is white box, activations if one has `needs_activations`."""
    every = list(attacks)
    return Sight(
        weights=any(getattr(attack, "access", "") == "white box" for attack in every),
        activations=any(bool(getattr(attack, "needs_activations", False)) for attack in every),
    )
