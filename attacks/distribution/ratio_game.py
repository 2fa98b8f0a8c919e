"""What games of ratios have in common: the table, the options, and how they become worlds.

References
----------
Suri, Evans, Formalizing and Estimating Distribution Inference Risks, PETS 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attacks.distribution.defense import Defense
from attacks.distribution.resample import METHODS, Floats, Ids, Method, as_label_rate, as_records, cell_table, world_law
from attacks.distribution.samples import Array
from attacks.distribution.train import Queries, Trainer, default_trainer
from attacks.distribution.worlds import RatioWorlds, Side, bound_defense, draw_queries, query_labels, split_pools
from mechanisms.validation import in_range, one_of, same_length, whole_number


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RatioGame:
    """Base of the games whose worlds differ in the share of a property.

    Parameters
    ----------
    X : (N, ...) records of the public distribution that adversary and victims draw from.
    y : (N,) labels 0 to K - 1, at least two of them.
    prop : (N,) bool: who has the property. It need not be a column of X.
    label_rate : rates of the labels in every world (one number: the rate of label 1 of two); None takes the table's own. It is never left
        free, for an attack would find the label rate, not the property.
    method : "quota" for fixed cell counts, as in most published experiments; "iid" for the formal game.
    adversary_share : share of the records in the adversary's pool.
    n_queries : records of the adversary's pool that models are asked about, as many from each world; no model is trained on them.
    trainer : a `ShadowTrainer`, or train(inputs, labels, rng) -> model; None takes a multi-layer perceptron 32-16-8.
    standardize : scale columns by mean and spread of the adversary's pool.
    defense : what trainers do to their training sample, e.g. `RebalanceDefense()`.
    adaptive : shadow models are defended as the victims are; always report this row.
    """

    X: ArrayLike
    y: ArrayLike
    prop: ArrayLike
    _: KW_ONLY
    label_rate: ArrayLike | None = None
    method: Method = "quota"
    adversary_share: float = 0.5
    n_queries: int = 1000
    trainer: Trainer | None = None
    standardize: bool = True
    defense: Defense | None = None
    adaptive: bool = True

    def __post_init__(self) -> None:
        inputs, (has, label) = np.array(self.X), as_records(self.prop, self.y)
        if inputs.ndim < 2:
            raise ValueError(f"X must have shape (records, features, ...), got {inputs.shape}")
        same_length(X=inputs, y=label)
        if inputs.dtype.kind not in "fiub":
            raise ValueError(f"X must hold numbers, got dtype {inputs.dtype}; encode words and categories")
        if inputs.dtype.kind == "f" and not np.isfinite(inputs).all():
            raise ValueError(f"X must be finite, got {int(np.sum(~np.isfinite(inputs)))} NaN or infinite values of {inputs.size}")
        if len(np.unique(label)) < 2:
            raise ValueError("y must hold at least two labels, got one; a model of one label has nothing to learn")
        one_of(METHODS, method=self.method)
        table = cell_table(has, label)
        rate = table.sum(axis=0) / table.sum() if self.label_rate is None else as_label_rate(self.label_rate, table.shape[1])
        if (rate > 0).sum() < 2:
            raise ValueError("label_rate must be positive for at least two labels, got one; a model of one label has nothing to learn")
        checked = {
            "X": inputs,
            "y": label,
            "prop": has,
            "label_rate": rate,
            "adversary_share": in_range(0, 1, adversary_share=self.adversary_share),
            "n_queries": whole_number(2, n_queries=self.n_queries),
        }
        for name, value in checked.items():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n_records={len(self._label)}, n_labels={self.n_classes}, method={self.method!r})"

    @property
    def n_classes(self) -> int:
        """Number of labels K."""
        return int(self._label.max()) + 1

    @property
    def _inputs(self) -> Array:
        return np.asarray(self.X)

    @property
    def _label(self) -> NDArray[np.int64]:
        return np.asarray(self.y)

    @property
    def _has(self) -> NDArray[np.bool_]:
        return np.asarray(self.prop)

    def law(self, alpha: float) -> Floats:
        """Return the (2, K) cell probabilities of the world with this share.

        Raises
        ------
        ValueError : a share outside [0, 1] or one that the table can't give.
        """
        return world_law(cell_table(self._has, self._label), alpha, label_rate=self.label_rate)

    def worlds(self, alphas: Sequence[float], n_train: int, *, rng: np.random.Generator) -> RatioWorlds:
        """Split the pools, draw the queries, fit the scaler on the adversary's pool, set the defense's public counts.

        Raises
        ------
        ValueError : a cell that is short, named.
        """
        laws = [self.law(alpha) for alpha in alphas]
        pools = split_pools(self._has * self.n_classes + self._label, self.adversary_share, rng=rng)
        chosen, world = draw_queries(pools["adversary"], self._has, self._label, laws, self.n_queries, rng=rng)
        inputs = scaled(self._inputs, pools["adversary"]) if self.standardize else self._inputs
        sides: tuple[Side, ...] = ("adversary", "victim") if self.adaptive else ("victim",)
        return RatioWorlds(
            inputs=inputs,
            prop=self._has,
            label=self._label,
            label_rate=np.asarray(self.label_rate),
            n_train=n_train,
            method=self.method,
            pools={"adversary": np.setdiff1d(pools["adversary"], chosen), "victim": pools["victim"]},
            queries=Queries(inputs[chosen], query_labels(self._label[chosen], world, len(alphas)), self.n_classes),
            query_world=world,
            defense=bound_defense(self.defense, laws, n_train),
            defended=frozenset(sides),
        )

    def chosen_trainer(self, n_train: int) -> Trainer:
        """The trainer given, or the default one for samples of this size."""
        return default_trainer(self._inputs, self.n_classes, n_train) if self.trainer is None else self.trainer


def scaled(inputs: Array, fitted_on: Ids) -> Array:
    """Subtract the mean of some records and divide by their spread, column by column; a constant column becomes 0."""
    known = inputs[fitted_on].astype(np.float64)
    spread = known.std(axis=0)
    return np.asarray((inputs - known.mean(axis=0)) / np.where(spread > 0, spread, 1), dtype=np.float32)
