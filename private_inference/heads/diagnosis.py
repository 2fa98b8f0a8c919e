"""Are the heads healthy? A report in words: what is wrong, in which layers, and what to do.

    entropic overload   too many heads in the top quarter of Ebar_max(T), or near uniform: they average over everything
    entropy collapse    too many heads of the deeper half below 0.1 nat: they look at one key, and training ends in NaN

Quarters are those of Ebar_max(T), never of the largest head seen: a model whose heads are all uniform would look like any other.
At GPT-2 small and T = 128, healthy models have about 90 % of heads in the two middle quarters; LayerNorm-free GELU has 58 % in the top one,
softmax-only 33 % in the lowest.

References
----------
Jha, Reagen, Entropy-Guided Attention for Private LLMs, PPAI at AAAI 2025.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from html import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mechanisms.json_ready import JsonValue, json_record
from mechanisms.validation import in_range, whole_number
from private_inference.heads.bands import NEAR_UNIFORM, NEAR_ZERO, EntropyBands, entropy_bands, finite_heads, head_array, near_uniform
from private_inference.heads.entropy import causal_max_entropy

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthLimits:
    """Shares of heads, each in [0, 1], above which a report warns.

    Parameters
    ----------
    top_band : of all heads in the top quarter.
    near_uniform : of all heads above 0.95 Ebar_max(T).
    near_zero : of the heads of the deeper half of layers below 0.1 nat.
    """

    top_band: float = 0.4
    near_uniform: float = 0.2
    near_zero: float = 0.1

    def __post_init__(self) -> None:
        for name in ("top_band", "near_uniform", "near_zero"):
            in_range(0, 1, closed="both", **{name: getattr(self, name)})


@dataclass(frozen=True, slots=True)
class LayerEntropy:
    """Head entropies of one layer, in nats, and its shares of heads at the two ends."""

    layer: int
    mean: float
    smallest: float
    largest: float
    near_uniform: float
    near_zero: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EntropyReport:
    """What `diagnose` found.

    Parameters
    ----------
    bands : census of all heads; None if an entropy is not finite, and then `layers` is empty.
    near_zero_deep : share of the deeper half's heads below 0.1 nat.
    layers : one row a layer, the first is 0.
    warnings : sentences; empty for a healthy model.
    limits : what the warnings compare with.
    """

    bands: EntropyBands | None
    near_zero_deep: float | None
    layers: tuple[LayerEntropy, ...]
    warnings: tuple[str, ...]
    limits: HealthLimits

    @property
    def near_uniform(self) -> float | None:
        """Return the share of heads above 0.95 Ebar_max(T)."""
        return None if self.bands is None else self.bands.near_uniform

    @property
    def near_zero(self) -> float | None:
        """Return the share of heads below 0.1 nat."""
        return None if self.bands is None else self.bands.near_zero

    @property
    def healthy(self) -> bool:
        """Return whether nothing is warned of."""
        return not self.warnings

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        layers = [asdict(layer) for layer in self.layers]
        head = {"schema_version": SCHEMA_VERSION, "healthy": self.healthy, "bands": self.bands, "near_zero_deep": self.near_zero_deep}
        return json_record({**head, "layers": layers, "warnings": self.warnings, "limits": asdict(self.limits)})

    def _repr_html_(self) -> str:
        said = "".join(f"<li>{escape(warning)}</li>" for warning in self.warnings) or "<li>no warning</li>"
        head = "".join(f"<th>{name}</th>" for name in ("layer", "mean", "smallest", "largest", "near uniform", "near zero"))
        body = "".join(
            f"<tr><td>{row.layer}</td><td>{row.mean:.3f}</td><td>{row.smallest:.3f}</td><td>{row.largest:.3f}</td>"
            f"<td>{row.near_uniform:.0%}</td><td>{row.near_zero:.0%}</td></tr>"
            for row in self.layers
        )
        return f"<table><caption>{escape(self._caption())}</caption><tr>{head}</tr>{body}</table><ul>{said}</ul>"

    def _caption(self) -> str:
        if self.bands is None:
            return "Entropy of attention heads: not finite"
        quarters = ", ".join(f"{share:.0%}" for share in self.bands.shares)
        return f"Entropy of attention heads in nats; quarters of {self.bands.bound:.3f}, largest at T = {self.bands.T}: {quarters}"


def diagnose(head_entropy: ArrayLike | Tensor, *, T: int, loss: float | None = None, limits: HealthLimits | None = None) -> EntropyReport:
    """Return a report of head entropies.

    Parameters
    ----------
    head_entropy : (L, H), in nats; entries that are not finite are reported.
    T : context length over whose positions they were averaged, at least 2.
    loss : the training loss, if known; not finite: the run has diverged.
    limits : when to warn; None: the defaults.

    Raises
    ------
    ValueError : another shape, entropies that T positions don't allow, T < 2.

    Examples
    --------
    >>> report = diagnose([[3.2, 3.2], [1.5, 2.0]], T=64)
    >>> report.near_uniform, report.warnings[0].split(":")[0]
    (0.5, 'entropic overload')
    """
    heads, T = head_array(head_entropy), whole_number(2, T=T)
    if heads.ndim != 2 or not heads.size:
        raise ValueError(f"head_entropy must have shape (layers, heads), got {heads.shape}")
    limits, found = limits or HealthLimits(), _divergence(heads, loss)
    if not np.isfinite(heads).all():
        return EntropyReport(bands=None, near_zero_deep=None, layers=(), warnings=tuple(found), limits=limits)
    heads = finite_heads(heads, causal_max_entropy(T)).reshape(heads.shape)
    bands, deep = entropy_bands(heads, T=T), float(np.mean(_deeper_half(heads) < NEAR_ZERO))
    found += [*_overload(heads, bands, limits), *_collapse(heads, deep, limits)]
    return EntropyReport(bands=bands, near_zero_deep=deep, layers=_layers(heads, T), warnings=tuple(found), limits=limits)


def _divergence(heads: NDArray[np.float64], loss: float | None) -> list[str]:
    found = []
    advice = "go back to the last finite step, lower the learning rate or clip gradients"
    if loss is not None and not math.isfinite(loss):
        found.append(f"diverged: the loss is not finite; {advice}")
    broken = ~np.isfinite(heads)
    if broken.any():
        found.append(f"diverged: {broken.sum()} of {heads.size} heads have entropies that are not finite, {_where(broken)}; {advice}")
    return found


def _overload(heads: NDArray[np.float64], bands: EntropyBands, limits: HealthLimits) -> list[str]:
    found, top = [], bands.shares[3]
    advice = "train with EntropyPenalty, or start the temperature lower"
    if top > limits.top_band:
        where = _where(heads >= 0.75 * bands.bound)
        found.append(f"entropic overload: {top:.0%} of heads are in the top quarter (limit {limits.top_band:.0%}), {where}; {advice}")
    if bands.near_uniform > limits.near_uniform:
        where = _where(near_uniform(heads, bands.T))
        found.append(
            f"entropic overload: {bands.near_uniform:.0%} of heads are near uniform, above {NEAR_UNIFORM:g} of what T = {bands.T} allows "
            f"(limit {limits.near_uniform:.0%}), {where}; {advice}"
        )
    return found


def _collapse(heads: NDArray[np.float64], deep: float, limits: HealthLimits) -> list[str]:
    if not deep > limits.near_zero:
        return []
    return [
        f"entropy collapse: {deep:.0%} of heads in the deeper half of layers are below {NEAR_ZERO:g} nat (limit {limits.near_zero:.0%}), "
        f"{_where(heads < NEAR_ZERO)}; lower the learning rate, scale the FFN (variant 'sm_scfuffn') or train with EntropyPenalty"
    ]


def _layers(heads: NDArray[np.float64], T: int) -> tuple[LayerEntropy, ...]:
    return tuple(
        LayerEntropy(
            layer=k,
            mean=float(row.mean()),
            smallest=float(row.min()),
            largest=float(row.max()),
            near_uniform=float(np.mean(near_uniform(row, T))),
            near_zero=float(np.mean(row < NEAR_ZERO)),
        )
        for k, row in enumerate(heads)
    )


def _deeper_half(heads: NDArray[np.float64]) -> NDArray[np.float64]:
    return heads[len(heads) // 2 :]


def _where(which: NDArray[np.bool_]) -> str:
    layers = np.flatnonzero(which.any(axis=1))
    return f"in layer{'s' if len(layers) > 1 else ''} {', '.join(map(str, layers))}"
