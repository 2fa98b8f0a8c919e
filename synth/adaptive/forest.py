"""A model of all pairs from a few measured ones: products where nothing links two columns, chains of conditionals where a path does.

Measured pairs are the edges of a graph, weighted by the mutual information of their answers. Its maximum spanning forest is a Markov model:
along a path r - a - b the answer of (r, b) is that of (r, a) times the conditional table of b given a. One walk from every root gives all
pairs of a tree. A measured pair keeps its own answer. Noisy counts lose what is negative before they become probabilities.

Cost: d^2 products of small matrices.

References
----------
Chow, Liu, Approximating Discrete Probability Distributions with Dependence Trees, IEEE Transactions on Information Theory 1968. McKenna,
Miklau, Sheldon, Winning the NIST Contest, Journal of Privacy and Confidentiality 2021 (a noisy spanning tree).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.encoded import Codes
from synth.start import on_simplex, stratified_counts

Floats = NDArray[np.float64]
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """Columns linked by conditional tables.

    Parameters
    ----------
    one_ways : (s_i,) nonnegative counts of each column, of one total.
    neighbors : for each column its neighbors in the forest.
    conditional : (a, b) -> (s_a, s_b) table of b given a, rows sum to 1; both directions of each edge.
    """

    one_ways: tuple[Floats, ...]
    neighbors: tuple[tuple[int, ...], ...]
    conditional: Mapping[Pair, Floats]

    def walk(self, root: int) -> list[Pair]:
        """Return (parent, child) of the root's tree, parents before their children."""
        seen, steps, open_columns = {root}, [], [root]
        while open_columns:
            parent = open_columns.pop()
            for child in self.neighbors[parent]:
                if child not in seen:
                    seen.add(child)
                    steps.append((parent, child))
                    open_columns.append(child)
        return steps


def spanning_forest(one_ways: Sequence[Floats], measured: Mapping[Pair, Floats]) -> Forest:
    """Return the maximum spanning forest of the measured pairs by mutual information.

    Parameters
    ----------
    one_ways : counts of each column, of one total; may be negative.
    measured : (i, j), i < j -> (s_i, s_j) counts; may be negative.
    """
    clipped = tuple(non_negative_counts(one) for one in one_ways)
    information = {pair: mutual_information(answer) for pair, answer in measured.items()}
    tree_of = list(range(len(clipped)))
    neighbors: list[list[int]] = [[] for _ in clipped]
    conditional: dict[Pair, Floats] = {}
    for i, j in sorted(information, key=lambda pair: (-information[pair], pair)):
        if tree_of[i] == tree_of[j]:
            continue
        joined = tree_of[j]
        tree_of = [tree_of[i] if tree == joined else tree for tree in tree_of]
        neighbors[i].append(j)
        neighbors[j].append(i)
        conditional[i, j] = _conditional(measured[i, j], clipped[j])
        conditional[j, i] = _conditional(measured[i, j].T, clipped[i])
    return Forest(clipped, tuple(tuple(found) for found in neighbors), conditional)


def pair_answers(forest: Forest, measured: Mapping[Pair, Floats]) -> dict[Pair, Floats]:
    """Return the model's counts of every pair (i, j), i < j, shape (s_i, s_j)."""
    d = len(forest.one_ways)
    total = forest.one_ways[0].sum()
    answers: dict[Pair, Floats] = {}
    for root in range(d):
        joint: dict[int, Floats] = {root: np.diag(forest.one_ways[root])}
        for parent, child in forest.walk(root):
            joint[child] = joint[parent] @ forest.conditional[parent, child]
        for other in range(root + 1, d):
            own = measured.get((root, other))
            if own is None:
                own = joint.get(other)
            answers[root, other] = np.outer(forest.one_ways[root], forest.one_ways[other]) / total if own is None else own
    return answers


def sample_forest(forest: Forest, n_rows: int, rng: np.random.Generator) -> Codes:
    """Return a table of the model, shape (n_rows, d): one conditional for each parent's code, rounded by strata and shuffled."""
    codes = np.empty((n_rows, len(forest.one_ways)), dtype=np.int32)
    done: set[int] = set()
    for root in range(len(forest.one_ways)):
        if root in done:
            continue
        codes[:, root] = drawn_codes(forest.one_ways[root], n_rows, rng)
        done.add(root)
        for parent, child in forest.walk(root):
            done.add(child)
            order = np.argsort(codes[:, parent], kind="stable")
            sizes = np.bincount(codes[:, parent], minlength=len(forest.one_ways[parent]))
            table = forest.conditional[parent, child]
            codes[order, child] = np.concatenate([drawn_codes(table[code], int(size), rng) for code, size in enumerate(sizes)])
    return codes


def drawn_codes(weights: Floats, n: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """Return n codes in random order, each the floor of its expected number of times or one more."""
    counts = stratified_counts(weights * (n / weights.sum()), rng)
    return rng.permutation(np.repeat(np.arange(len(weights), dtype=np.int32), counts))


def mutual_information(answer: Floats) -> float:
    """Return the mutual information of a pair's clipped, normalized answer, in nats; 0 where nothing is left."""
    joint = np.maximum(answer, 0.0)
    total = joint.sum()
    if total <= 0:
        return 0.0
    joint = joint / total
    product = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    some = joint > 0
    return float((joint[some] * np.log(joint[some] / product[some])).sum())


def non_negative_counts(answer: Floats) -> Floats:
    """Return the nearest nonnegative counts of one column with the same total (at least 1)."""
    return np.asarray(on_simplex(answer) * max(float(answer.sum()), 1.0), dtype=np.float64)


def _conditional(answer: Floats, fallback: Floats) -> Floats:
    """Return the table of the second column given the first; rows without mass take the second's one-way."""
    clipped = np.maximum(answer, 0.0)
    mass = clipped.sum(axis=1, keepdims=True)
    return np.asarray(np.where(mass > 0, clipped / np.where(mass > 0, mass, 1.0), fallback / fallback.sum()), dtype=np.float64)
