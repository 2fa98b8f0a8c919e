"""Categories that many rows have, found without a list: noise on the count of every label that occurs, and a threshold.

Labels that no row has get no noise and never appear. A label that does appear has a noisy count above the threshold t, which one single row
reaches with probability delta at most; so whether anybody has a rare label shows in nothing but that probability. The rest is `other`.

Guarantee: the labels kept, and their noisy counts, are delta-approximate rho-zCDP (Bun, Steinke 2016, definition 8.1), rho = D^2 / (2
sigma^2), D = 1 under add/remove, sqrt(2) under replacement. Proof. Let T and T' be neighbors, A and A' the labels that occur in them, and L
those in both. All noise is independent and a label's outcome ("not kept", or kept with its noisy count) depends on its own count only.

    1. Labels of L: the same set of cells in T and T', whose counts differ by D in the L2 norm at most: their outcomes are rho-zCDP.
    2. At most one label of T is missing from L: the row that changes was the only one to have it. Let E be the event that it isn't kept;
       P(E) >= 1 - P(1 + X > t) >= 1 - delta. The same for T' and E'.
    3. Given E and E', both outcomes are functions of the labels of L alone, so step 1 holds for the conditional distributions, both ways.

Under replacement each of T and T' has at most one such label, and it is one event on each side: delta isn't doubled. Keeping only the
largest counts is post-processing. Approximate zCDP composes: rhos add up, deltas too; conversion gives (epsilon, delta + delta') for
rho = rho(epsilon, delta') (Bun, Steinke 2016, section 8).

Laplace noise would need thresholds of b ln(1 / (2 delta)) instead of sigma sqrt(2 ln(1 / delta)): at rho = 0.001 and delta = 1e-10, 500
rows instead of 144.

References
----------
Korolova, Kenthapadi, Mishra, Ntoulas, Releasing Search Queries and Clicks Privately, WWW 2009. Bun, Nissim, Stemmer, Simultaneous Private
Learning of Multiple Concepts, ITCS 2016. Bun, Steinke, Concentrated Differential Privacy, TCC 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from synth.domain.noisy_histogram import NoisyHistogram, stability_threshold
from synth.domain.open_schema import BuyCategories
from synth.schema import Categorical

Label = str | int
Measure = Callable[[str, NDArray[np.int64]], NoisyHistogram]


def buy_categories(
    placeholder: BuyCategories, counts: Mapping[Label, int], measure: Measure, *, delta: float
) -> tuple[Categorical, NoisyHistogram]:
    """Return the column with its bought categories, in the order of their labels, and their noisy counts.

    Parameters
    ----------
    placeholder : public settings.
    counts : exact number of rows of each label that occurs; secret. `other` is left out of it: it is public.
    measure : noisy histogram of a step.
    delta : what the threshold may cost.

    Guarantee
    ---------
    delta-approximate rho-zCDP, rho that of `measure`; see the head of this file.
    """
    labels = sorted(label for label, count in counts.items() if count > 0 and label != placeholder.other)  # an order that no row decides
    answer = measure(f"categories of {placeholder.name}", np.array([counts[label] for label in labels], dtype=np.int64))
    kept = chosen_places(answer, placeholder.max_categories, delta)
    categories = tuple(labels[place] for place in kept) or (placeholder.other,)
    column = Categorical(placeholder.name, categories, other=placeholder.other, nullable=placeholder.nullable)
    return column, NoisyHistogram(answer.counts[kept], answer.sigma)


def chosen_places(answer: NoisyHistogram, most: int, delta: float) -> NDArray[np.intp]:
    """Return the places of the largest noisy counts above the threshold, at most so many, in order.

    Examples
    --------
    >>> chosen_places(NoisyHistogram([900, 3, 70, 500], 10.0), 2, 1e-9).tolist()
    [0, 3]
    """
    above = np.flatnonzero(answer.counts > stability_threshold(answer.sigma, delta))
    largest = above[np.argsort(-answer.counts[above], kind="stable")[:most]]
    return np.sort(largest)
