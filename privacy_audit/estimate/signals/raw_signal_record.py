"""RawSignalPosterior: what the raw signals of a run say about the epsilon of its engine, as a distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.guarantee import Neighboring
from mechanisms.json_ready import JsonValue, json_ready
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import one_of, same_length, valid_delta, whole_number
from privacy_audit.estimate.rates import posterior_views
from privacy_audit.estimate.rates.credible import CredibleLaw, as_given, points, probabilities
from privacy_audit.estimate.signals import weighted_law
from privacy_audit.estimate.signals.signal_views import VIEWS, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from xarray import DataTree

Floats = NDArray[np.float64]

SCHEMA_VERSION = 1
ASSUMPTIONS = (
    "Noise is Gaussian and independent, sampling is Poisson, canaries are clipped to one length: tested in the same run, not proved.",
    "It covers the training engine, not how the user's own layers make per-record gradients.",
)
LENGTH_IS_ONE = "A clipped canary has the length of the clipping norm (final weights can't tell)."
CAUTION = "Credible interval of the engine's epsilon. It is no bound and can't call a claim violated."


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RawSignalPosterior(CredibleLaw):
    """Posterior of epsilon given the raw signals of one run, by weighted draws; made by `raw_signal_posterior`.

    Parameters
    ----------
    epsilon : (n,) draws, in nats.
    noise_multiplier, sample_rate, clipped_length : (n,) the draws of the engine that they come from.
    weight : (n,) weights, summing to 1.
    delta : where epsilon is taken.
    view : "V0" to "V3", what of the run was looked at.
    method : how the draws were made.
    effective_size : share of the draws that the weights are worth, in (0, 1].
    n_canaries, steps : size of the evidence.
    neighboring : add/remove, as canaries are added or left out.

    Raises
    ------
    ValueError : arrays of different lengths, weights that do not sum to 1, delta out of range, an unknown view.
    """

    epsilon: Floats
    noise_multiplier: Floats
    sample_rate: Floats
    clipped_length: Floats
    weight: Floats
    delta: float
    view: View
    method: str
    effective_size: float
    n_canaries: int
    steps: int
    neighboring: Neighboring = Neighboring.ADD_REMOVE

    def __post_init__(self) -> None:
        valid_delta(self.delta)
        one_of(tuple(VIEWS), view=self.view)
        arrays = {name: np.array(getattr(self, name), dtype=np.float64) for name in _DRAWS}
        same_length(**arrays)
        if not abs(float(arrays["weight"].sum()) - 1) < 1e-9 or (arrays["weight"] < 0).any():
            raise ValueError(f"weight must hold non-negative numbers that sum to 1, got a sum of {float(arrays['weight'].sum()):.6g}")
        for name, array in arrays.items():
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, ({name: getattr(self, name) for name in self.__slots__},)

    @property
    def is_single(self) -> bool:
        """Whether one run is described; always."""
        return True

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Sentences that must be true for it to hold."""
        return (*ASSUMPTIONS, LENGTH_IS_ONE) if self.view == "V0" else ASSUMPTIONS

    def sf(self, e: ArrayLike) -> Floats | float:
        """Return P(epsilon > e), the shape of e."""
        at = points(e)
        order = np.argsort(self.epsilon)
        above = np.append(np.cumsum(self.weight[order][::-1])[::-1], 0.0)
        return as_given(np.minimum(above[np.searchsorted(self.epsilon[order], at, side="right")], 1.0))

    def pdf(self, e: ArrayLike) -> Floats | float:
        """Return the density (smoothed by a kernel), the shape of e."""
        return as_given(weighted_law.density(self.epsilon, self.weight, np.asarray(e, dtype=np.float64)))

    def ppf(self, q: ArrayLike) -> Floats | float:
        """Return quantiles, the shape of q; 0 at q = 0, infinite at q = 1.

        Raises
        ------
        ValueError : a probability outside [0, 1], or NaN.
        """
        return as_given(weighted_law.quantile(self.epsilon, self.weight, probabilities(q)))

    @property
    def mean(self) -> float:
        """The posterior mean."""
        return float(self.weight @ self.epsilon)

    @property
    def median(self) -> float:
        """The posterior median."""
        return float(self.ppf(0.5))

    def sample(self, n: int, *, rng: RngLike = None) -> Floats:
        """Draw epsilons of equal weight, (n,): the weighted draws, drawn again with replacement."""
        return self.epsilon[self._chosen(whole_number(n=n), as_generator(rng))]

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record: view, mean, median and 90 % intervals; the draws themselves are not written."""
        parts = {name: list(map(float, self._of(getattr(self, name), (0.05, 0.5, 0.95)))) for name in _DRAWS[1:4]}
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "view": self.view,
            "sees": VIEWS[self.view],
            "delta": self.delta,
            "neighboring": self.neighboring.value,
            "mean": self.mean,
            "median": self.median,
            "interval": json_ready(self.interval(0.9)),
            "level": 0.9,
            "engine": json_ready(parts),
            "method": self.method,
            "n_draws": len(self.epsilon),
            "effective_size": self.effective_size,
            "n_canaries": self.n_canaries,
            "steps": self.steps,
            "assumptions": list(self.assumptions),
        }

    def to_datatree(self, *, n_draws: int = 1000, n_chains: int = 4, rng: RngLike = None) -> DataTree:
        """Return draws of equal weight as an `xarray.DataTree`: group `posterior`, dims (chain, draw)."""
        n_draws, n_chains = whole_number(1, n_draws=n_draws), whole_number(1, n_chains=n_chains)
        chosen = self._chosen(n_draws * n_chains, as_generator(rng))
        return posterior_views.datatree({name: getattr(self, name)[chosen] for name in _DRAWS[:4]}, n_chains)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the density and the 90 % credible interval; returns the axes."""
        return posterior_views.plot(self, ax, title=f"{VIEWS[self.view]}; 90 % credible interval shaded")

    def _repr_html_(self) -> str:
        rows = {"epsilon": self.epsilon} | {name.replace("_", " "): getattr(self, name) for name in _DRAWS[1:4]}
        head = "".join(f"<th>{title}</th>" for title in ("", "median", "5 %", "95 %"))
        body = ""
        for name, draws in rows.items():
            low, middle, high = self._of(draws, (0.05, 0.5, 0.95))
            body += f"<tr><th>{name}</th><td>{middle:.4g}</td><td>{low:.4g}</td><td>{high:.4g}</td></tr>"
        title = f"Posterior of the engine's epsilon at delta = {self.delta:g}, from {VIEWS[self.view]}"
        return f"<div><p><b>{title}</b></p><table><tr>{head}</tr>{body}</table><p>{CAUTION}</p></div>"

    def _shortest(self, level: float) -> Floats:
        return weighted_law.shortest(self.epsilon, self.weight, level)

    def _of(self, draws: Floats, q: tuple[float, ...]) -> Floats:
        return weighted_law.quantile(draws, self.weight, np.array(q))

    def _chosen(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        return rng.choice(len(self.weight), size=n, p=self.weight)


_DRAWS = ("epsilon", "noise_multiplier", "sample_rate", "clipped_length", "weight")


def _rebuild(values: dict[str, object]) -> RawSignalPosterior:
    return RawSignalPosterior(**values)  # type: ignore[arg-type]
