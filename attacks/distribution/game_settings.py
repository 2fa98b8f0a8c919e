"""How a game was played, for its result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attacks.distribution.plan import Plan
from attacks.distribution.ratio_game import RatioGame
from attacks.distribution.worlds import RatioWorlds
from mechanisms.json_ready import JsonValue, json_ready
from mechanisms.randomness import root_entropy


@dataclass(frozen=True, slots=True, kw_only=True)
class GameSettings:
    """How a game was played.

    Parameters
    ----------
    game : "two ratios", "which ratio", "ratio regression" or "two mean degrees".
    worlds : the ratios (or mean degrees), world 0 first.
    n_train : size of a training sample before any defense.
    method : how the cells of a sample are filled, "quota" or "iid"; "graph" for degrees.
    label_rate : rates of the labels in every world.
    n_adversary_pool, n_victim_pool : records that shadow models and victims may be trained on; 0 where every sample is generated.
    n_queries : records that models are asked about.
    n_shadow, n_victim : models per world, of each repeat and in all.
    repeats : shadow draws, each with a block of victims of its own.
    trainer : name of who trains; defense: its settings, or None; adaptive: shadow models are defended too.
    entropy : root entropy of the game's generator.
    """

    game: str
    worlds: tuple[float, ...]
    n_train: int
    method: str
    label_rate: tuple[float, ...]
    n_adversary_pool: int
    n_victim_pool: int
    n_queries: int
    n_shadow: int
    n_victim: int
    repeats: int
    trainer: str
    defense: JsonValue
    adaptive: bool
    entropy: str

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {name: json_ready(getattr(self, name)) for name in self.__slots__}


def ratio_settings(
    game: RatioGame, name: str, source: RatioWorlds, worlds: Sequence[float], plan: Plan, rng: np.random.Generator
) -> GameSettings:
    """Return the settings of a game of ratios."""
    return GameSettings(
        game=name,
        worlds=tuple(worlds),
        n_train=source.n_train,
        method=source.method,
        label_rate=tuple(source.label_rate.tolist()),
        n_adversary_pool=len(source.pools["adversary"]),
        n_victim_pool=len(source.pools["victim"]),
        n_queries=len(source.queries.labels),
        n_shadow=plan.n_shadow,
        n_victim=plan.n_victim,
        repeats=plan.repeats,
        trainer=trainer_name(game.chosen_trainer(source.n_train)),
        defense=defense_settings(source.defense),
        adaptive=game.adaptive,
        entropy=root_entropy(rng),
    )


def trainer_name(train: object) -> str:
    """The name of a function or of a trainer's class."""
    return str(getattr(train, "__qualname__", type(train).__name__))


def defense_settings(defense: object) -> JsonValue:
    """A defense's own settings, or its class's name."""
    if defense is None:
        return None
    return json_ready(defense) if hasattr(defense, "to_dict") else {"name": type(defense).__name__}
