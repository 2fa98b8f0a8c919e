"""HierarchicalAccuracyPosterior: the accuracy of an attack when its shadow models were drawn several times.

An attack is as good as the shadow models it was fitted on. Repeats with new ones show how much that matters: each repeat's rates are drawn
from a law of adversaries, and what is reported is the accuracy of a typical one, and separately that of the best one at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from attacks.scores import AttackCounts
from mechanisms.json_ready import JsonValue, json_ready, number_from_json
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import in_range, one_of, probability_level, whole_number
from privacy_audit.estimate.model_effects.law_numerics import shortest_interval
from privacy_audit.estimate.model_effects.nuts import ChainCheck
from privacy_audit.estimate.rates.beta_law import FloatArray
from privacy_audit.estimate.rates.count_arrays import CountArrays
from privacy_audit.estimate.rates.credible import CredibleLaw, IntervalKind, as_given, points, probabilities
from privacy_audit.estimate.worlds import accuracy_views as views
from privacy_audit.estimate.worlds.best_adversary import BestAdversary, best_adversary
from privacy_audit.estimate.worlds.repeat_chains import sample_repeats, typical_accuracy
from privacy_audit.estimate.worlds.typical_accuracy import GridLaw, TypicalLaw
from privacy_audit.estimate.worlds.victim_sample import SampleEffect, shared_victim_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEMA_VERSION = 1
METHODS = ("quadrature", "nuts")
LEVEL = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class HierarchicalAccuracyPosterior(CredibleLaw):
    """Posterior of the accuracy of a typical adversary given the counts of several.

    Parameters
    ----------
    counts_per_repeat : one entry per repeat (draw of shadow models): a sequence of `AttackCounts`, or `CountArrays`.
    shared_victims : whether repeats guessed about the same victims. If so, an effect of the sample of victims moves all repeats alike, as
        large as m victims allow: counts don't tell how alike the guesses about one victim were, and this is safe for any answer. Repeats
        with victims of their own, as in the games here or from `one_repeat_per_victim`, take False.
    method : "quadrature"; "nuts", PyMC, 4 chains of 1000 + 1000 steps.
    mu_scale : standard deviation of mu_w under the prior, in [0.5, 10]; 3 spreads a rate like Jeffreys' Beta(1/2, 1/2).
    rng : seeds the chains of "nuts"; "quadrature" draws nothing.

    Raises
    ------
    ValueError : an empty sequence, an unknown method.
    TypeError : counts of another type.

    Warns
    -----
    ConvergenceWarning : the chains miss R-hat <= 1.01, an effective sample size of 400, or diverge; `converged` is then False.

    Notes
    -----
    k_{r,w} ~ Binomial(m_{r,w}, p_{r,w}), logit p_{r,w} ~ Normal(mu_w, tau), mu_w ~ Normal(0, mu_scale), tau ~ HalfNormal(1); the accuracy
    is E_r[(p_{r,0} + p_{r,1}) / 2] on the population of victims. A narrow prior of mu draws nearly perfect attacks down: at a true accuracy
    of 0.995 the 95 % interval of five repeats holds it in half of the games with mu_scale = 1.5, in 93 % with 3. One repeat says nothing
    about others; the interval then is as wide as the prior of tau makes it. Cost of "quadrature": 0.1 to 1 s, growing with the number of
    distinct counts.

    Examples
    --------
    >>> repeats = [AttackCounts(tp=k, fn=100 - k, tn=j, fp=100 - j) for k, j in [(80, 70), (85, 75), (70, 72), (88, 60), (90, 80)]]
    >>> HierarchicalAccuracyPosterior(repeats, shared_victims=False).interval().round(2)
    array([0.7 , 0.81])
    """

    counts_per_repeat: InitVar[Sequence[AttackCounts] | CountArrays]
    shared_victims: bool = field(kw_only=True)
    method: str = field(default="quadrature", kw_only=True)
    mu_scale: float = field(default=3.0, kw_only=True)
    rng: InitVar[RngLike] = field(default=None, kw_only=True)
    counts: CountArrays = field(init=False)
    law: TypicalLaw = field(init=False, repr=False)
    chain_check: ChainCheck | None = field(init=False, repr=False)

    def __post_init__(self, counts_per_repeat: Sequence[AttackCounts] | CountArrays, rng: RngLike) -> None:
        counts = counts_per_repeat if isinstance(counts_per_repeat, CountArrays) else CountArrays.of(counts_per_repeat)
        object.__setattr__(self, "counts", counts)
        right, victims = self._table()
        object.__setattr__(self, "mu_scale", in_range(0.5, 10, closed="both", mu_scale=self.mu_scale))
        error = shared_victim_error(right, victims) if self.shared_victims else np.zeros(2)
        effect = SampleEffect(self.mu_scale, error)
        law: TypicalLaw
        check = None
        if one_of(METHODS, method=self.method) == "quadrature":
            law = GridLaw.of(right, victims, effect)
        else:
            law, check = sample_repeats(right, victims, effect, rng=as_generator(rng))
            check.warn()
        object.__setattr__(self, "law", law)
        object.__setattr__(self, "chain_check", check)

    @property
    def n_repeats(self) -> int:
        """Number of repeats."""
        return len(self.counts)

    @property
    def converged(self) -> bool:
        """Whether the chains passed their checks; always true for quadrature."""
        return self.chain_check is None or self.chain_check.passed

    def sf(self, e: ArrayLike) -> FloatArray | float:
        """Return P(accuracy > e), shape of e."""
        at = points(e)
        above = self.law.exceedance(np.clip(at.ravel(), 0.0, 1.0))[0].reshape(at.shape)
        return as_given(np.where(at < 0, 1.0, np.where(at >= 1, 0.0, above)))

    def pdf(self, e: ArrayLike) -> FloatArray | float:
        """Return the density, shape of e; 0 outside (0, 1)."""
        at = points(e)
        density = self.law.exceedance(np.clip(at.ravel(), 0.0, 1.0))[1].reshape(at.shape)
        return as_given(np.where((at > 0) & (at < 1), density, 0.0))

    def ppf(self, q: ArrayLike) -> FloatArray | float:
        """Return quantiles, shape of q.

        Raises
        ------
        ValueError : a probability outside [0, 1], or NaN.
        """
        probability = probabilities(q)
        return as_given(self.law.quantile(probability.ravel()).reshape(probability.shape))

    def interval(self, level: float = LEVEL, kind: IntervalKind = "equal_tailed") -> FloatArray:
        """Return the credible interval (low, high) of the typical accuracy, shape (2,); as `AccuracyPosterior.interval`."""
        return CredibleLaw.interval(self, level, kind)

    @property
    def all_right(self) -> bool:
        """Whether no guess of any repeat was wrong."""
        return not (self.counts.fp.any() or self.counts.fn.any())

    @property
    def mean(self) -> float:
        """The posterior mean."""
        return self.law.mean()

    @property
    def median(self) -> float:
        """The posterior median."""
        return float(self.ppf(0.5))

    @property
    def tau(self) -> tuple[float, float, float]:
        """Median and ends of the 95 % credible interval of tau, the spread of logits between adversaries."""
        median, low, high = self.law.tau_quantile(np.array([0.5, 0.025, 0.975]))
        return float(median), float(low), float(high)

    def best(self, *, level: float = LEVEL, n_draws: int = 4000, rng: RngLike = None) -> BestAdversary:
        """Return the posterior of the largest accuracy among the repeats, by draws; its `sampling_error` says how exact it is."""
        n_draws = whole_number(20, n_draws=n_draws)
        return best_adversary(self.law, *self._table(), level=probability_level(level), n_draws=n_draws, rng=as_generator(rng))

    def sample(self, n: int, *, rng: RngLike = None) -> FloatArray:
        """Draw typical accuracies, shape (n,)."""
        return typical_accuracy(self.law.draw(whole_number(n=n), as_generator(rng)))

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record: counts, settings, tau, mean, median and the 95 % credible interval."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "counts": json_ready(self.counts.to_dict()),
            "shared_victims": self.shared_victims,
            "method": self.method,
            "mu_scale": self.mu_scale,
            "converged": self.converged,
            "chain_check": None if self.chain_check is None else self.chain_check.to_dict(),
            "tau": json_ready(self.tau),
            "mean": json_ready(self.mean),
            "median": json_ready(self.median),
            "interval": json_ready(self.interval()),
            "level": LEVEL,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, object], *, rng: RngLike = None) -> HierarchicalAccuracyPosterior:
        """Rebuild a posterior from `to_dict()`; everything is computed anew, chains included."""
        counts = record["counts"]
        if not isinstance(counts, Mapping):
            raise TypeError("counts must be a table of four lists")
        table = CountArrays(**{name: np.asarray(counts[name]) for name in ("tp", "fp", "tn", "fn")})
        return cls(
            table,
            shared_victims=bool(record["shared_victims"]),
            method=str(record["method"]),
            mu_scale=number_from_json(record["mu_scale"]),
            rng=rng,
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the density of the typical accuracy and its 95 % credible interval; returns the axes."""
        return views.plot_accuracy(self, ax)

    def _repr_html_(self) -> str:
        figures = (*np.asarray(self.ppf(np.array([0.5, 0.025, 0.975]))).tolist(), *self.tau)
        head = ("repeats", "median", "2.5 %", "97.5 %", "tau, median", "tau, 2.5 %", "tau, 97.5 %")
        row = [str(self.n_repeats), *(f"{value:.4g}" for value in figures)]
        return views.html_table("Posterior of the accuracy of a typical adversary", head, [row], 1, views.CAUTION)

    def _shortest(self, level: float) -> FloatArray:
        return shortest_interval(lambda q: self.law.quantile(np.clip(q, 0.0, 1.0)), level)

    def _table(self) -> tuple[FloatArray, FloatArray]:
        """Return right guesses and victims, shape (2, R)."""
        counts = self.counts
        right = np.stack([counts.tn, counts.tp]).astype(np.float64)
        return right, right + np.stack([counts.fp, counts.fn])
