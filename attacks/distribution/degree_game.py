"""The game with two mean degrees: which of two laws of node degrees did the graph have that a node classifier was trained on?

Each model is trained on the nodes of a graph of its own, by their convolved features; the adversary asks about nodes of graphs of its own,
half of them from each world. All graphs are generated, so no record is shared.

References
----------
Suri, Evans, Formalizing and Estimating Distribution Inference Risks, PETS 2022, section on graphs. Wu et al., Simplifying Graph
Convolutional Networks, ICML 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np
from numpy.typing import NDArray

from attacks.distribution.degree_graphs import balanced_labels, convolved_features, node_features, random_graph
from attacks.distribution.game_settings import GameSettings, trainer_name
from attacks.distribution.graph_degree import DEGREE_CAVEAT, DegreeLaw, degree_law
from attacks.distribution.plan import Plan
from attacks.distribution.result import DistributionInferenceResult
from attacks.distribution.samples import TrainingSamples
from attacks.distribution.train import Progress, Queries, Trainer, default_trainer
from attacks.distribution.two_worlds import Attacks, play_two_worlds
from attacks.distribution.worlds import Side, query_labels
from mechanisms.randomness import RngLike, as_generator, root_entropy
from mechanisms.validation import in_range, non_negative, whole_number

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class DegreeWorlds:
    """Worlds 0.0 and 1.0 of a degree game: every sample is a graph of its own."""

    game: DegreeGame
    prototypes: Floats
    queries: Queries
    query_world: NDArray[np.intp]

    def samples(self, side: Side, worlds: Sequence[float], *, rng: np.random.Generator) -> TrainingSamples:
        """Generate one graph per entry of `worlds`; both sides draw from the same laws, no graph is used twice."""
        del side
        parts = [self.game.nodes(int(world), self.prototypes, rng=own) for world, own in zip(worlds, rng.spawn(len(worlds)), strict=True)]
        size = self.game.n_nodes
        ids = tuple(np.arange(k * size, (k + 1) * size) for k in range(len(parts)))
        return TrainingSamples(np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts]), ids)


@dataclass(frozen=True, slots=True, repr=False)
class DegreeGame:
    """Two worlds that differ in the law of node degrees.

    Parameters
    ----------
    law0, law1 : the laws; a whole number, 9 to 17, names a published fit by the mean degree of the graphs it was fitted to, which is not
        the mean of the law.
    n_nodes : nodes of each graph, which all train its model; above both laws' largest degree.
    n_classes, n_features : of the nodes.
    signal : length of the classes' prototypes, in standard deviations of the noise.
    homophily : share of half-edges matched within a label, in [0, 1); both worlds' edges are alike in it.
    n_hops : convolutions.
    n_queries : nodes that models are asked about, half of each world.
    trainer : as in `DistributionInferenceGame`.

    Raises
    ------
    ValueError : values out of range, or fewer nodes than a degree needs.

    Notes
    -----
    The degrees within one graph are not independent draws (the result's `caveats` say so): `n_leaked` counts independent degrees.

    Examples
    --------
    >>> DegreeGame(13, 9, 500)
    DegreeGame(n_nodes=500, mean degrees 4.4 and 3.9)
    """

    law0: DegreeLaw | int
    law1: DegreeLaw | int
    n_nodes: int
    _: KW_ONLY
    n_classes: int = 2
    n_features: int = 8
    signal: float = 1.0
    homophily: float = 0.5
    n_hops: int = 2
    n_queries: int = 1000
    trainer: Trainer | None = None

    def __post_init__(self) -> None:
        for name in ("law0", "law1"):
            law = getattr(self, name)
            object.__setattr__(self, name, law if isinstance(law, DegreeLaw) else degree_law(law))
        for name, least in (("n_nodes", 2), ("n_classes", 2), ("n_features", 1), ("n_hops", 0), ("n_queries", 2)):
            object.__setattr__(self, name, whole_number(least, **{name: getattr(self, name)}))
        object.__setattr__(self, "signal", non_negative(signal=self.signal))
        object.__setattr__(self, "homophily", in_range(0, 1, closed="left", homophily=self.homophily))
        largest = max(law.largest for law in self.laws)
        if self.n_nodes <= largest:
            raise ValueError(f"n_nodes must be above the largest degree {largest}, got {self.n_nodes}")

    def __repr__(self) -> str:
        first, second = (mean_degree(law) for law in self.laws)
        return f"DegreeGame(n_nodes={self.n_nodes}, mean degrees {first:.1f} and {second:.1f})"

    @property
    def laws(self) -> tuple[DegreeLaw, DegreeLaw]:
        """The laws of both worlds."""
        assert isinstance(self.law0, DegreeLaw)
        assert isinstance(self.law1, DegreeLaw)
        return self.law0, self.law1

    def nodes(self, world: int, prototypes: Floats, *, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Generate a graph of a world; return the convolved features and the labels of its nodes."""
        labels = balanced_labels(self.n_nodes, self.n_classes, rng=rng)
        graph = random_graph(self.laws[world], self.n_nodes, labels=labels, homophily=self.homophily, rng=rng)
        features = node_features(labels, prototypes, rng=rng)
        return convolved_features(graph, features, n_hops=self.n_hops).astype(np.float32), labels

    def worlds(self, *, rng: np.random.Generator) -> DegreeWorlds:
        """Draw the public prototypes and the adversary's query nodes."""
        directions = rng.normal(size=(self.n_classes, self.n_features))
        prototypes = self.signal * directions / np.linalg.norm(directions, axis=1, keepdims=True)
        inputs, labels, world = [], [], []
        for number in (0, 1):
            left = self.n_queries // 2 + (number < self.n_queries % 2)
            while left:
                x, y = self.nodes(number, prototypes, rng=rng)
                chosen = rng.choice(self.n_nodes, min(left, self.n_nodes), replace=False)
                inputs.append(x[chosen])
                labels.append(y[chosen])
                world += [number] * len(chosen)
                left -= len(chosen)
        query_world, label = np.array(world, dtype=np.intp), np.concatenate(labels)
        queries = Queries(np.concatenate(inputs), query_labels(label, query_world, 2), self.n_classes)
        return DegreeWorlds(game=self, prototypes=prototypes, queries=queries, query_world=query_world)

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
        """Play the game; parameters, result and errors as of `DistributionInferenceGame.run`."""
        generator = as_generator(rng)
        plan = Plan(n_shadow=n_shadow, n_victim=n_victim, repeats=repeats)
        worlds_rng, play_rng = generator.spawn(2)
        source = self.worlds(rng=worlds_rng)
        chosen = default_trainer(source.queries.inputs, self.n_classes, self.n_nodes) if self.trainer is None else self.trainer
        played = play_two_worlds(source, (0.0, 1.0), attacks, chosen, plan, rng=play_rng, progress=progress)
        return DistributionInferenceResult(
            settings=self._settings(chosen, plan, generator),
            outcomes=played.outcomes,
            selected=played.selected,
            training_sizes=played.training_sizes,
            findings=played.findings,
            caveats=(DEGREE_CAVEAT,),
            degree_laws=self.laws,
        )

    def _settings(self, trainer: Trainer, plan: Plan, rng: np.random.Generator) -> GameSettings:
        return GameSettings(
            game="two mean degrees",
            worlds=tuple(mean_degree(law) for law in self.laws),
            n_train=self.n_nodes,
            method="graph",
            label_rate=(1 / self.n_classes,) * self.n_classes,
            n_adversary_pool=0,
            n_victim_pool=0,
            n_queries=self.n_queries,
            n_shadow=plan.n_shadow,
            n_victim=plan.n_victim,
            repeats=plan.repeats,
            trainer=trainer_name(trainer),
            defense=None,
            adaptive=True,
            entropy=root_entropy(rng),
        )


def mean_degree(law: DegreeLaw) -> float:
    """Return the mean of a law of degrees."""
    pmf = law.pmf()
    return float(pmf @ np.arange(1, len(pmf) + 1))
