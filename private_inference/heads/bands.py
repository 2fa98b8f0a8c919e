"""In which quarter of its possible entropy each head is: a census in five numbers.

    shares          of the L H heads with head entropy in [0, R/4), [R/4, R/2), [R/2, 3R/4), [3R/4, R]
    near_uniform    share above 0.95 Ebar_max(T): heads that average over everything they see
    near_zero       share below 0.1 nat: heads that look at one key only

    R = Ebar_max(T) "causal"  comparable between models    = largest head "observed"  the literature's: hangs on one head, and a model whose
    R = ln T        "logT"    never reached by a causal head                          heads are all uniform looks like any other

References
----------
Jha, Reagen, Entropy-Guided Attention for Private LLMs, PPAI at AAAI 2025.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mechanisms.json_ready import JsonValue, json_record
from mechanisms.validation import one_of, whole_number
from private_inference.heads.entropy import causal_max_entropy

BandReference = Literal["causal", "observed", "logT"]
NEAR_UNIFORM = 0.95  # of Ebar_max(T)
NEAR_ZERO = 0.1  # nats
_ROUND_OFF = 1e-3  # of half-precision entropies, relative to the largest possible


@dataclass(frozen=True, slots=True)
class EntropyBands:
    """Shares of heads.

    Parameters
    ----------
    shares : in each quarter of [0, bound], lowest first; they sum to 1.
    near_uniform, near_zero : shares at the two ends, whatever the reference.
    reference, bound : what R is, in nats.
    T, n_heads : context length, and number of heads counted.
    """

    shares: tuple[float, float, float, float]
    near_uniform: float
    near_zero: float
    reference: BandReference
    bound: float
    T: int
    n_heads: int

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record(asdict(self))


def entropy_bands(head_entropy: ArrayLike | Tensor, *, T: int, reference: BandReference = "causal") -> EntropyBands:
    """Return the shares of heads by entropy.

    Parameters
    ----------
    head_entropy : head entropies in nats, (L, H) or any other shape.
    T : context length over whose positions they were averaged, at least 2.
    reference : what the quarters divide.

    Raises
    ------
    ValueError : an entropy that is not finite, negative, or larger than T positions allow; no heads; T < 2; an unknown reference.

    Examples
    --------
    >>> entropy_bands([[0.05, 1.0], [2.0, 3.2]], T=64).shares
    (0.25, 0.25, 0.25, 0.25)
    """
    one_of(get_args(BandReference), reference=reference)
    T = whole_number(2, T=T)
    most = math.log(T) if reference == "logT" else causal_max_entropy(T)
    heads = finite_heads(head_entropy, most)
    bound = float(heads.max()) if reference == "observed" else most
    quarter = (heads[:, None] >= np.array([0.25, 0.5, 0.75]) * bound).sum(axis=1) if bound > 0 else np.zeros(heads.size, dtype=np.intp)
    low, middle_low, middle_high, top = (float(np.mean(quarter == k)) for k in range(4))
    return EntropyBands(
        shares=(low, middle_low, middle_high, top),
        near_uniform=float(np.mean(near_uniform(heads, T))),
        near_zero=float(np.mean(heads < NEAR_ZERO)),
        reference=reference,
        bound=bound,
        T=T,
        n_heads=heads.size,
    )


def near_uniform(heads: NDArray[np.float64], T: int) -> NDArray[np.bool_]:
    """Return which heads are above 0.95 Ebar_max(T)."""
    return heads > NEAR_UNIFORM * causal_max_entropy(T)


def head_array(head_entropy: ArrayLike | Tensor) -> NDArray[np.float64]:
    """Return head entropies, tensor or not, as an array of floats."""
    values = head_entropy.detach().cpu().double().numpy() if isinstance(head_entropy, Tensor) else head_entropy
    return np.asarray(values, dtype=np.float64)


def finite_heads(head_entropy: ArrayLike | Tensor, most: float) -> NDArray[np.float64]:
    """Return one entropy a head, shape (n,), checked to lie in [0, most]; round-off beyond the ends is cut."""
    heads = head_array(head_entropy).ravel()
    if not heads.size:
        raise ValueError("head_entropy must have at least one head, got none")
    if n_bad := int(np.sum(~np.isfinite(heads))):
        raise ValueError(f"head_entropy must be finite, {n_bad} of {heads.size} heads are not; the run has diverged")
    if n_off := int(np.sum((heads < -_ROUND_OFF) | (heads > most * (1 + _ROUND_OFF)))):
        raise ValueError(
            f"head_entropy must be in [0, {most:.4g}] nats, {n_off} of {heads.size} heads are not; "
            "give the T over which the entropies were averaged, and entropies in nats"
        )
    return np.clip(heads, 0.0, most)
