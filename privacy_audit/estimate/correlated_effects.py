"""CorrelatedEpsilonPosterior: like `HierarchicalEpsilonPosterior`, for models whose two error rates move together.

A model that remembers more has fewer false negatives, and a threshold that suits one model badly shifts both of its rates: the rates of a
model are then correlated. Here their logits are bivariate normal, and epsilon is taken at the rates averaged over models.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from attacks.scores import AttackCounts
from mechanisms.errors import ConvergenceWarning
from mechanisms.guarantee import Neighboring, valid_neighboring
from mechanisms.json_ready import JsonValue, json_ready, number_from_json
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import one_of, valid_delta
from privacy_audit.estimate.model_effects.correlated_likelihood import CorrelatedLikelihood, from_normal, marginal_rates, to_normal_rate
from privacy_audit.estimate.model_effects.drawn_law import DrawnLaw
from privacy_audit.estimate.model_effects.importance import effective_draws, weighted_points
from privacy_audit.estimate.model_effects.law_view import LawView
from privacy_audit.estimate.model_effects.model_counts import ModelCounts
from privacy_audit.estimate.model_effects.nuts import ChainCheck, sample_correlated
from privacy_audit.estimate.rates.beta_law import FloatArray
from privacy_audit.estimate.rates.count_arrays import CountArrays
from privacy_audit.estimate.region import implied_epsilon

SCHEMA_VERSION = 1
METHODS = ("quadrature", "nuts")
_N_POINTS = 4096
_FEWEST_EFFECTIVE = 400.0


@dataclass(frozen=True, slots=True, eq=False)
class CorrelatedEpsilonPosterior(LawView):
    """Posterior of epsilon given the counts of one attack on several models whose FPR and FNR may be correlated.

    Parameters
    ----------
    counts_per_model : one entry per model: a sequence of `AttackCounts`, `CountArrays`, or `ModelCounts`. `from_arrays` takes models that
        have members or non-members only.
    delta : probability in [0, 1).
    method : "quadrature", weighted points in the five parameters, a second or two; "nuts", PyMC, 4 chains of 1000 + 1000 steps.
    neighboring : the relation under which the two worlds of the attack differ.
    rng : seeds the chains of "nuts"; "quadrature" draws nothing.

    Raises
    ------
    ValueError : a parameter out of range, an empty sequence, a side without trials.
    TypeError : counts of another type, or `neighboring` not a `Neighboring`.

    Warns
    -----
    ConvergenceWarning : the chains miss R-hat <= 1.01, an effective sample size of 400, or diverge; or the weighted points are worth fewer
        than 400 draws. `converged` is then False.

    Notes
    -----
    Logits of both rates of a model ~ N(m, S); errors are binomial. Priors: expit(m) ~ Beta(1/2, 1/2), standard deviations HalfNormal(1),
    correlation LKJ(2). Epsilon belongs to the rates averaged over models, by 20-point Gauss-Hermite. The two methods agree within 0.03
    nats in the 5, 50 and 95 % quantiles of epsilon. An interval is a credible interval of this attack's epsilon.
    """

    counts_per_model: InitVar[Sequence[AttackCounts] | CountArrays | ModelCounts]
    delta: float = field(default=0.0, kw_only=True)
    method: str = field(default="quadrature", kw_only=True)
    neighboring: Neighboring = field(default=Neighboring.ADD_REMOVE, kw_only=True)
    rng: InitVar[RngLike] = field(default=None, kw_only=True)
    counts: ModelCounts = field(init=False)
    law: DrawnLaw = field(init=False, repr=False)
    chain_check: ChainCheck | None = field(init=False, repr=False)

    def __post_init__(self, counts_per_model: Sequence[AttackCounts] | CountArrays | ModelCounts, rng: RngLike) -> None:
        valid_neighboring(self.neighboring)
        counts, delta, method = ModelCounts.of(counts_per_model), valid_delta(self.delta), one_of(METHODS, method=self.method)
        law, check = _by_points(counts, delta) if method == "quadrature" else _by_chains(counts, delta, rng)
        for name, value in (("counts", counts), ("delta", delta), ("law", law), ("chain_check", check)):
            object.__setattr__(self, name, value)
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
        neighboring: Neighboring = Neighboring.ADD_REMOVE,
        rng: RngLike = None,
    ) -> CorrelatedEpsilonPosterior:
        """Return the posterior of counts given as four arrays of shape (n_models,); a model may have zero trials on one side."""
        table = ModelCounts(tp=np.asarray(tp), fp=np.asarray(fp), tn=np.asarray(tn), fn=np.asarray(fn))
        return cls(table, delta=delta, method=method, neighboring=neighboring, rng=rng)

    @property
    def effective_draws(self) -> float:
        """How many independent draws the weighted points, or the worst of the chains' variables, are worth."""
        return effective_draws(self.law.weight) if self.chain_check is None else self.chain_check.ess_bulk

    @property
    def converged(self) -> bool:
        """Whether the chains passed their checks, or the weighted points are worth at least 400 draws."""
        return self.effective_draws >= _FEWEST_EFFECTIVE if self.chain_check is None else self.chain_check.passed

    def correlation(self, q: ArrayLike = (0.05, 0.5, 0.95)) -> FloatArray:
        """Return posterior quantiles of the correlation between the logits of a model's FPR and FNR, shape of q."""
        return self.law.quantile_of("correlation", np.asarray(q, dtype=np.float64))

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record: counts, settings, both rho, the correlation, mean, median and the 90 % credible interval."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "counts": json_ready(self.counts.to_dict()),
            "delta": self.delta,
            "method": self.method,
            "neighboring": self.neighboring.value,
            "converged": self.converged,
            "chain_check": None if self.chain_check is None else self.chain_check.to_dict(),
            "correlation": json_ready(self.correlation()),
            **self._summary(),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, object], *, rng: RngLike = None) -> CorrelatedEpsilonPosterior:
        """Rebuild a posterior from `to_dict()`; everything is computed anew, chains included."""
        counts = record["counts"]
        if not isinstance(counts, Mapping):
            raise TypeError("counts must be a table of four lists")
        return cls(
            ModelCounts(**{name: np.asarray(counts[name]) for name in ("tp", "fp", "tn", "fn")}),
            delta=number_from_json(record["delta"]),
            method=str(record["method"]),
            neighboring=Neighboring(str(record["neighboring"])),
            rng=rng,
        )

    def _repr_html_(self) -> str:
        return self._html(
            f"Posterior of epsilon with correlated model effects, delta = {self.delta:g}, neighbors: {self.neighboring.value}"
        )

    def _warn(self) -> None:
        if self.chain_check is not None:
            self.chain_check.warn()
        elif not self.converged:
            text = (
                f"{_N_POINTS} weighted points are worth only {self.effective_draws:.0f} draws (at least {_FEWEST_EFFECTIVE:.0f}): the "
                "posterior is too far from its proposal; use method='nuts' or HierarchicalEpsilonPosterior"
            )
            warnings.warn(text, ConvergenceWarning, stacklevel=4)


def _by_points(counts: ModelCounts, delta: float) -> tuple[DrawnLaw, None]:
    """Return the law as weighted points."""
    pooled = counts.pooled()
    start = [to_normal_rate((wrong + 0.5) / (wrong + right + 1)) for wrong, right in ((pooled.fp, pooled.tn), (pooled.fn, pooled.tp))]
    likelihood = CorrelatedLikelihood.of(counts)
    y, weight = weighted_points(likelihood.log_posterior, np.array([*start, -0.3, -0.3, 0.0]), n_points=_N_POINTS)
    rates = {name: values[None, :] for name, values in marginal_rates(from_normal(y)).items()}
    return DrawnLaw(
        draws={"epsilon": implied_epsilon(rates["fpr"], rates["fnr"], delta), **rates}, weight=weight[None, :], sampled=False
    ), None


def _by_chains(counts: ModelCounts, delta: float, rng: RngLike) -> tuple[DrawnLaw, ChainCheck]:
    """Return the law as chains."""
    draws, check = sample_correlated(counts, rng=as_generator(rng))
    names = ("m_fpr", "m_fnr", "log_s_fpr", "log_s_fnr", "artanh_correlation")
    points = np.stack([draws[name] for name in names], axis=-1)
    rates = {name: values.reshape(points.shape[:2]) for name, values in marginal_rates(points.reshape(-1, len(names))).items()}
    return DrawnLaw.of_chains({"epsilon": implied_epsilon(rates["fpr"], rates["fnr"], delta), **rates}), check
