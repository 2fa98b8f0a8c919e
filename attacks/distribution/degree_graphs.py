"""Random graphs with a given law of degrees, labels and features of their nodes, and graph-convolution features.

    degrees     n draws of P(k) = k^-s / H(N, s); one is redrawn until their sum is even, all of them until a simple graph has them
    labels      K of them, equally many of each, independent of the degrees
    edges       configuration model: a random matching of half-edges, the share h of them within a label, so about h + (1 - h) / K of
                the edges join nodes of one label, whatever the degrees; loops and double edges are swapped with random edges until none
                is left, which keeps every degree (uniform over simple graphs only approximately)
    features    x = strength * prototype of the label + normal noise, independent of the edges given the labels
    convolved   [x, S x, ..., S^r x], S = D^-1/2 (A + I) D^-1/2, so that any classifier of rows learns on the graph

Cost: O(edges) per graph and hop; a few rounds of swaps.

References
----------
Newman, Strogatz, Watts, Random Graphs with Arbitrary Degree Distributions, Physical Review E 2001. Wu et al., Simplifying Graph
Convolutional Networks, ICML 2019. Suri, Evans, Formalizing and Estimating Distribution Inference Risks, PETS 2022 (mean degree).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from attacks.distribution.graph_degree import DegreeLaw
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import in_range, whole_number

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_DRAWS = 100
MOST_ROUNDS = 300
ROUNDS_WITHIN = 10


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Graph:
    """A simple graph.

    Parameters
    ----------
    n_nodes : number of nodes.
    edges : (E, 2) different nodes, every pair once.
    """

    n_nodes: int
    edges: Ids

    def __repr__(self) -> str:
        return f"Graph(n_nodes={self.n_nodes}, n_edges={len(self.edges)})"

    @property
    def degrees(self) -> Ids:
        """(n_nodes,) number of neighbors."""
        return np.bincount(self.edges.ravel(), minlength=self.n_nodes)

    def adjacency(self) -> sparse.csr_array:
        """Return the sparse symmetric matrix A of zeros and ones."""
        rows, columns = np.concatenate([self.edges, self.edges[:, ::-1]]).T
        return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(self.n_nodes, self.n_nodes))


def random_graph(law: DegreeLaw, n_nodes: int, *, labels: Ids | None = None, homophily: float = 0.0, rng: RngLike = None) -> Graph:
    """Draw a simple graph whose degrees are drawn from a law; labels and homophily as of `graph_of_degrees`.

    Raises
    ------
    ValueError : too few nodes for the law: not above its largest degree, or 100 draws of degrees that no simple graph was found for.

    Notes
    -----
    Degrees without a simple graph are drawn again, which bends the law where hubs are large beside the graph: of the published laws none of
    60 draws for 1,000 nodes, up to a third of those for 300.

    Examples
    --------
    >>> graph = random_graph(DegreeLaw(10, 1.5), 100, rng=1)
    >>> int(graph.degrees.min()) >= 1, int(graph.degrees.max()) <= 10
    (True, True)
    """
    generator = as_generator(rng)
    for _ in range(MOST_DRAWS):
        edges = _simple_edges(random_degrees(law, n_nodes, rng=generator), labels, homophily, generator)
        if edges is not None:
            return Graph(n_nodes, edges)
    raise ValueError(
        f"n_nodes is too small for the law: no simple graph of {n_nodes} nodes was found in {MOST_DRAWS} draws; take more nodes"
    )


def random_degrees(law: DegreeLaw, n_nodes: int, *, rng: RngLike = None) -> Ids:
    """Draw degrees of a law that a simple graph can have: an even sum (one node is redrawn until it is), and no hub without enough others.

    Raises
    ------
    ValueError : too few nodes for the law: not above its largest degree, or 100 draws that no simple graph has.
    """
    generator, pmf, n_nodes = as_generator(rng), law.pmf(), whole_number(2, n_nodes=n_nodes)
    if n_nodes <= law.largest:
        raise ValueError(f"n_nodes must be above the largest degree {law.largest}, got {n_nodes}")
    if law.largest == 1 and n_nodes % 2:
        raise ValueError(f"n_nodes must be even where every node has one neighbor, got {n_nodes}")
    if law.largest == 1 and n_nodes % 2:
        raise ValueError(f"n_nodes must be even where every node has one neighbor, got {n_nodes}")
    for _ in range(MOST_DRAWS):
        degrees = generator.choice(law.largest, n_nodes, p=pmf) + 1
        while degrees.sum() % 2:
            degrees[generator.integers(n_nodes)] = generator.choice(law.largest, p=pmf) + 1
        if is_graphical(degrees):
            return degrees.astype(np.int64)
    raise ValueError(
        f"n_nodes is too small for the law: no simple graph has {n_nodes} degrees of it in {MOST_DRAWS} draws; take more nodes"
    )


def is_graphical(degrees: Ids) -> bool:
    """Whether a simple graph has these degrees >= 1 of an even sum (Erdos and Gallai 1960).

    Examples
    --------
    >>> is_graphical(np.array([2, 2, 2])), is_graphical(np.array([3, 3, 1, 1]))
    (True, False)
    """
    falling = np.sort(degrees)[::-1]
    k = np.arange(1, len(falling) + 1)
    above = np.searchsorted(-falling, -k, side="right")  # degrees >= k
    tail = falling.sum() - np.cumsum(falling)
    beyond = np.maximum(above - k, 0) * k + np.where(above > k, falling.sum() - np.cumsum(falling)[above - 1], tail)
    return bool(np.all(np.cumsum(falling) <= k * (k - 1) + beyond))


def graph_of_degrees(degrees: Ids, *, labels: Ids | None = None, homophily: float = 0.0, rng: RngLike = None) -> Graph:
    """Draw a simple graph with exactly these degrees.

    Parameters
    ----------
    labels : (n,) of the nodes, 0 to K - 1; None is one label.
    homophily : share h of the half-edges that are matched within their node's label, in [0, 1).

    Raises
    ------
    ValueError : an odd sum, or no simple graph found.
    """
    if degrees.sum() % 2:
        raise ValueError(f"degrees must have an even sum, got {int(degrees.sum())}")
    edges = _simple_edges(degrees, labels, homophily, as_generator(rng))
    if edges is None:
        raise ValueError(f"no simple graph of these {len(degrees)} degrees was found, the largest is {degrees.max()}; take more nodes")
    return Graph(len(degrees), edges)


def balanced_labels(n_nodes: int, n_classes: int, *, rng: RngLike = None) -> Ids:
    """Return labels 0 to K - 1 in random order, equally many of each (to one)."""
    return as_generator(rng).permutation(np.arange(whole_number(1, n_nodes=n_nodes)) % whole_number(2, n_classes=n_classes))


def node_features(labels: Ids, prototypes: Floats, *, rng: RngLike = None) -> Floats:
    """Return (n, d) features: the prototype (K, d) of the label plus standard normal noise."""
    return prototypes[labels] + as_generator(rng).normal(size=(len(labels), prototypes.shape[1]))


def convolved_features(graph: Graph, features: Floats, *, n_hops: int = 2) -> Floats:
    """Return [x, S x, ..., S^n_hops x], (n, (n_hops + 1) d), with S = D^-1/2 (A + I) D^-1/2.

    Examples
    --------
    >>> two = Graph(2, np.array([[0, 1]]))
    >>> convolved_features(two, np.array([[1.0], [3.0]]), n_hops=1).round(9).tolist()
    [[1.0, 2.0], [3.0, 2.0]]
    """
    scale = 1 / np.sqrt(graph.degrees + 1.0)
    adjacency, parts = graph.adjacency(), [np.asarray(features, dtype=np.float64)]
    for _ in range(whole_number(n_hops=n_hops)):
        scaled = parts[-1] * scale[:, None]
        parts.append((adjacency @ scaled + scaled) * scale[:, None])
    return np.concatenate(parts, axis=1)


def edge_homophily(graph: Graph, labels: Ids) -> float:
    """Return the share of edges between nodes of one label."""
    return in_range(0, 1, closed="both", share=float(np.mean(labels[graph.edges[:, 0]] == labels[graph.edges[:, 1]])))


def _simple_edges(degrees: Ids, labels: Ids | None, homophily: float, rng: np.random.Generator) -> Ids | None:
    """Edges of a simple graph, or None where none was found."""
    share = in_range(0, 1, closed="left", homophily=homophily)
    ends = np.repeat(np.arange(len(degrees)), degrees)
    edges, group = _matched(ends, np.zeros(len(ends), dtype=np.int64) if labels is None else labels[ends], share, rng)
    return _made_simple(edges, group, rng)


def _matched(ends: Ids, label: Ids, share: float, rng: np.random.Generator) -> tuple[Ids, Ids]:
    """Match half-edges at random, a share of them within their label; return the edges and their groups, sorted by group."""
    free = int(label.max()) + 1
    group = np.where(rng.random(len(ends)) < share, label, free)
    for value in np.flatnonzero(np.bincount(group, minlength=free + 1)[:free] % 2):
        group[rng.choice(np.flatnonzero(group == value))] = free
    order = rng.permutation(len(ends))
    order = order[np.argsort(group[order], kind="stable")]
    return ends[order].reshape(-1, 2), group[order][::2]


def _made_simple(edges: Ids, group: Ids, rng: np.random.Generator) -> Ids | None:
    """Swap loops and double edges with edges of their group: (a, b), (c, d) become (a, d), (c, b) if both are new edges."""
    start, stop = np.searchsorted(group, group, "left"), np.searchsorted(group, group, "right")
    ends: list[list[int]] = edges.tolist()
    count = Counter(_pair(a, b) for a, b in ends)
    bad = list(range(len(ends)))
    for number in range(MOST_ROUNDS):
        bad = [place for place in bad if ends[place][0] == ends[place][1] or count[_pair(*ends[place])] > 1]  # swaps never add one
        if not bad:
            return np.array(ends, dtype=np.int64)
        alike = number % ROUNDS_WITHIN != ROUNDS_WITHIN - 1  # now and then any edges, good ones too: hubs may have no way out
        places = bad if alike else rng.integers(len(ends), size=len(ends)).tolist()
        others = rng.integers(start[places], stop[places]) if alike else rng.integers(len(ends), size=len(places))
        turned = rng.random(len(places)) < 0.5
        for place, other, turn in zip(places, others.tolist(), turned.tolist(), strict=True):
            _swap(ends, count, place, other, turn)
    return None


def _swap(ends: list[list[int]], count: Counter[tuple[int, int]], place: int, other: int, turn: bool) -> None:
    """Swap the second ends of two edges, unless a new one would be bad."""
    (a, b), (c, d) = ends[place], ends[other]
    if turn:
        c, d = d, c
    new = _pair(a, d), _pair(c, b)
    if place == other or a == d or c == b or new[0] == new[1] or count[new[0]] or count[new[1]]:
        return
    for old in (_pair(a, b), _pair(c, d)):
        count[old] -= 1
    for pair in new:
        count[pair] += 1
    ends[place], ends[other] = [a, d], [c, b]


def _pair(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)
