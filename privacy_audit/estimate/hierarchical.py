"""HierarchicalEpsilonPosterior: epsilon when several guesses were made about the same model.

Guesses about one model share its training randomness, so they are not independent; pooling them gives intervals that are too short.
Here the error rate of each model is drawn from a Beta law, and epsilon is taken at the mean rates: the rates over training randomness.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from attacks.scores import AttackCounts
from mechanisms.errors import WeakEvidenceWarning
from mechanisms.guarantee import Neighboring, valid_neighboring
from mechanisms.json_ready import JsonValue, json_ready, number_from_json
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import in_range, one_of, probability_level, valid_delta
from privacy_audit.estimate.model_effects.beta_binomial_grid import beta_binomial_grid
from privacy_audit.estimate.model_effects.drawn_law import DrawnLaw
from privacy_audit.estimate.model_effects.epsilon_law import EpsilonLaw, IndependentLaw, QuadratureLaw
from privacy_audit.estimate.model_effects.law_view import LawView
from privacy_audit.estimate.model_effects.model_counts import ModelCounts
from privacy_audit.estimate.model_effects.nuts import LARGEST_TRIALS, ChainCheck, sample_beta_binomial
from privacy_audit.estimate.posterior import EpsilonPosterior
from privacy_audit.estimate.rates.count_arrays import CountArrays
from privacy_audit.estimate.region import implied_epsilon

SCHEMA_VERSION = 1
METHODS = ("quadrature", "nuts")
SENSITIVITY_PRIORS = ((1.0, 1.0), (0.5, 4.5), (1.0, 30.0))
_HIGH_RHO = 0.4


@dataclass(frozen=True, slots=True, eq=False)
class HierarchicalEpsilonPosterior(LawView):
    """Posterior of epsilon given the counts of one attack on several models.

    Parameters
    ----------
    counts_per_model : one entry per model: a sequence of `AttackCounts`, `CountArrays`, or `ModelCounts`. `from_arrays` takes models that
        have members or non-members only.
    delta : probability in [0, 1).
    method : "quadrature", exact up to about 1e-6 and fast; "nuts", PyMC, 4 chains of 1000 + 1000 steps.
    rho_prior : Beta parameters, each in [0.1, 1000], of the correlation rho between two guesses about one model; default mean 0.1.
    neighboring : the relation under which the two worlds of the attack differ.
    rng : seeds the chains of "nuts"; "quadrature" draws nothing.

    Raises
    ------
    ValueError : a parameter out of range, an empty sequence, a side without trials; more than 1e7 trials per model with "nuts".
    TypeError : counts of another type, or `neighboring` not a `Neighboring`.

    Warns
    -----
    WeakEvidenceWarning : the 95 % credible interval of a rho reaches 0.4, where coverage falls short under the default prior.
    ConvergenceWarning : the chains miss R-hat <= 1.01, an effective sample size of 400, or diverge; `converged` is then False.

    Notes
    -----
    Errors of model j ~ BetaBinomial(n_j, mu kappa, (1 - mu) kappa), kappa = 1 / rho - 1, with mu ~ Beta(1/2, 1/2) and a rho of its own
    on each side; the sides are independent. The default prior of rho keeps coverage from rho = 0, where Beta(1, 9) covers too much, to
    0.3, where it covers too little (experiments/e_hierarchical.py). rho -> 0 is `EpsilonPosterior` of the pooled counts, rho -> 1 counts
    each model once. If no model has two guesses on a side, rho can't be learned and doesn't matter: the pooled posterior is returned. An
    interval is a credible interval of this attack's epsilon.

    Examples
    --------
    >>> posterior = HierarchicalEpsilonPosterior.from_arrays(tp=[14, 19, 16, 18, 15, 17], fp=[1, 3, 1, 2, 1, 2],
    ...     tn=[19, 17, 19, 18, 19, 18], fn=[6, 1, 4, 2, 5, 3])
    >>> posterior.interval(0.9).round(2)
    array([1.7, 2.8])
    """

    counts_per_model: InitVar[Sequence[AttackCounts] | CountArrays | ModelCounts]
    delta: float = field(default=0.0, kw_only=True)
    method: str = field(default="quadrature", kw_only=True)
    rho_prior: tuple[float, float] = field(default=(0.5, 4.5), kw_only=True)
    neighboring: Neighboring = field(default=Neighboring.ADD_REMOVE, kw_only=True)
    rng: InitVar[RngLike] = field(default=None, kw_only=True)
    counts: ModelCounts = field(init=False)
    law: EpsilonLaw = field(init=False, repr=False)
    chain_check: ChainCheck | None = field(init=False, repr=False)

    def __post_init__(self, counts_per_model: Sequence[AttackCounts] | CountArrays | ModelCounts, rng: RngLike) -> None:
        valid_neighboring(self.neighboring)
        counts, prior = ModelCounts.of(counts_per_model), _valid_prior(self.rho_prior)
        delta, method = valid_delta(self.delta), one_of(METHODS, method=self.method)
        for name, value in (("counts", counts), ("delta", delta), ("rho_prior", prior)):
            object.__setattr__(self, name, value)
        law, check = _fit(counts, delta, prior, method, self.neighboring, rng)
        object.__setattr__(self, "law", law)
        object.__setattr__(self, "chain_check", check)
        self._warn()

    @classmethod
    def from_arrays(
        cls,
        *,
        tp: ArrayLike,
        fp: ArrayLike,
        tn: ArrayLike,
        fn: ArrayLike,
        delta: float = 0.0,
        method: str = "quadrature",
        rho_prior: tuple[float, float] = (0.5, 4.5),
        neighboring: Neighboring = Neighboring.ADD_REMOVE,
        rng: RngLike = None,
    ) -> HierarchicalEpsilonPosterior:
        """Return the posterior of counts given as four arrays of shape (n_models,); a model may have zero trials on one side."""
        table = ModelCounts(tp=np.asarray(tp), fp=np.asarray(fp), tn=np.asarray(tn), fn=np.asarray(fn))
        return cls(table, delta=delta, method=method, rho_prior=rho_prior, neighboring=neighboring, rng=rng)

    @property
    def converged(self) -> bool:
        """Whether the chains passed their checks; always true for quadrature."""
        return self.chain_check is None or self.chain_check.passed

    def rho_prior_sensitivity(
        self, priors: Sequence[tuple[float, float]] = SENSITIVITY_PRIORS, *, level: float = 0.9
    ) -> list[dict[str, JsonValue]]:
        """Return, for each prior of rho, the median and equal-tailed credible interval of epsilon and the medians of rho, by quadrature."""
        level = probability_level(level)
        rows: list[dict[str, JsonValue]] = []
        for prior in priors:
            pair = _valid_prior(prior)
            law = _fit(self.counts, self.delta, pair, "quadrature", self.neighboring, None)[0]
            low, median, high = law.quantile(np.array([(1 - level) / 2, 0.5, (1 + level) / 2]))
            rho = {f"rho_{side}": float(law.rho(side, np.array([0.5]))[1][0]) for side in ("fpr", "fnr")}
            row = {"rho_prior": list(pair), "level": level, "low": float(low), "median": float(median), "high": float(high), **rho}
            rows.append({name: json_ready(value) for name, value in row.items()})
        return rows

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record: counts, settings, both rho, mean, median and the 90 % credible interval."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "counts": json_ready(self.counts.to_dict()),
            "delta": self.delta,
            "method": self.method,
            "rho_prior": list(self.rho_prior),
            "neighboring": self.neighboring.value,
            "converged": self.converged,
            "chain_check": None if self.chain_check is None else self.chain_check.to_dict(),
            **self._summary(),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, object], *, rng: RngLike = None) -> HierarchicalEpsilonPosterior:
        """Rebuild a posterior from `to_dict()`; everything is computed anew, chains included."""
        counts, prior = record["counts"], record["rho_prior"]
        if not isinstance(counts, Mapping) or not isinstance(prior, list | tuple):
            raise TypeError("counts must be a table of four lists and rho_prior a list of two numbers")
        return cls(
            ModelCounts(**{name: np.asarray(counts[name]) for name in ("tp", "fp", "tn", "fn")}),
            delta=number_from_json(record["delta"]),
            method=str(record["method"]),
            rho_prior=(number_from_json(prior[0]), number_from_json(prior[1])),
            neighboring=Neighboring(str(record["neighboring"])),
            rng=rng,
        )

    def _repr_html_(self) -> str:
        return self._html(f"Posterior of epsilon with model effects, delta = {self.delta:g}, neighbors: {self.neighboring.value}")

    def _warn(self) -> None:
        if self.chain_check is not None:
            self.chain_check.warn()
        high = {side: summary.high for side, summary in self.rho.items() if summary.identified and summary.high >= _HIGH_RHO}
        if high:
            named = " and ".join(f"rho of {side} up to {value:.2f}" for side, value in high.items())
            text = (
                f"guesses about one model may be strongly correlated (95 % credible: {named}); intervals may be too short under "
                f"rho_prior = {self.rho_prior}: compare rho_prior_sensitivity(), or train more models"
            )
            warnings.warn(text, WeakEvidenceWarning, stacklevel=4)


def _fit(
    counts: ModelCounts, delta: float, rho_prior: tuple[float, float], method: str, neighboring: Neighboring, rng: RngLike
) -> tuple[EpsilonLaw, ChainCheck | None]:
    """Return the law of epsilon, and the check of its chains if it was sampled."""
    if counts.is_one_per_model:
        return IndependentLaw(EpsilonPosterior(counts.pooled(), delta=delta, neighboring=neighboring), rho_prior), None
    if method == "quadrature":
        fnr = beta_binomial_grid(counts.fn, counts.n_members, rho_prior=rho_prior)
        fpr = beta_binomial_grid(counts.fp, counts.n_non_members, rho_prior=rho_prior)
        return QuadratureLaw(fnr=fnr, fpr=fpr, delta=delta), None
    most = int(max(counts.n_members.max(), counts.n_non_members.max()))
    if most > LARGEST_TRIALS:
        raise ValueError(f"method 'nuts' takes at most {LARGEST_TRIALS} trials per model, got {most}; use method='quadrature'")
    draws, check = sample_beta_binomial(counts, rho_prior=rho_prior, rng=as_generator(rng))
    return DrawnLaw.of_chains({"epsilon": implied_epsilon(draws["fpr"], draws["fnr"], delta), **draws}), check


def _valid_prior(prior: tuple[float, float]) -> tuple[float, float]:
    values = tuple(prior)
    if len(values) != 2:
        raise ValueError(f"rho_prior must be the two parameters of a Beta law, got {len(values)} values")
    a, b = (in_range(0.1, 1000.0, closed="both", rho_prior=value) for value in values)
    return a, b
