"""Entropy of attention rows, in nats, and the largest value that a causal mask allows.

    E_i = -sum_j a_ij ln a_ij  =  logsumexp(s_i) - sum_j a_ij s_ij     with a = softmax(s), over the allowed keys only, 0 ln 0 = 0
    head entropy        mean of E_i over samples and queries that see a key
    normalized          mean of E_i / ln n_i over queries that see n_i >= 2 keys, in [0, 1]
    Ebar_max(T)         (1/T) sum_{i <= T} ln i = ln(T!) / T: query i sees i keys, so a causal head never reaches ln T

The second form of E_i has an exact gradient and no `log(a + eps)`, which biases, and which is NaN in float16. NaN raises, it is never
dropped. Cost: O(rows * keys), one copy of the logits.

References
----------
Zhai et al., Stabilizing Transformer Training by Preventing Attention Entropy Collapse, ICML 2023.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from mechanisms.validation import one_of, whole_number

Reduction = Literal["none", "row", "head", "normalized"]
_ROW_SUM_TOLERANCE = 1e-3


def attention_entropy(
    weights: Tensor | None = None, logits: Tensor | None = None, *, mask: Tensor | None = None, reduction: Reduction = "head"
) -> Tensor:
    """Return entropies of attention rows or heads; gradients pass through.

    Parameters
    ----------
    weights : rows that sum to 1 over the allowed keys, shape (..., queries, keys); or
    logits : scaled logits s of the same shape, finite at allowed keys. Exactly one of the two is given.
    mask : which keys a query may see, bool, broadcastable to the weights: sliding, grouped, padded. A padding query sees no key: its row is
        all False, its entropy 0, and no mean counts it. None: causal, the last query sees all keys.
    reduction : "row" (or "none"), E of every row; "head", the mean over samples (first axis) and queries; "normalized", the same mean of
        E / ln(allowed keys), without rows of fewer than 2 keys. The last two need shape (batch, ..., heads, queries, keys).

    Returns
    -------
    Shape (..., queries) of rows, else the axes between the first and the queries. Half precision is computed and returned in float32.

    Raises
    ------
    TypeError : not exactly one of weights and logits, or not tensors of floats, or a mask that is not bool.
    ValueError : NaN; rows that don't sum to 1 within 1e-3; negative weights; shapes that don't fit; a head without any row to average.

    Examples
    --------
    >>> uniform = torch.ones(4, 4).tril() / torch.arange(1, 5)[:, None]
    >>> attention_entropy(uniform, reduction="row").exp()
    tensor([1., 2., 3., 4.])
    >>> attention_entropy(uniform[None, None], reduction="normalized")
    tensor([1.])
    """
    one_of(("none", "row", "head", "normalized"), reduction=reduction)
    scores = _scores(weights, logits)
    allowed = _allowed(mask, scores)
    rows = _entropy_of_weights(scores, allowed) if logits is None else _entropy_where_seen(scores, allowed)
    if reduction in ("none", "row"):
        return rows
    if scores.ndim < 4:
        raise ValueError(
            f"reduction {reduction!r} needs axes (batch, ..., heads, queries, keys), got shape {tuple(scores.shape)}; add the missing ones"
        )
    n_keys = allowed.sum(dim=-1)
    return head_entropy(rows, n_keys) if reduction == "head" else normalized_head_entropy(rows, n_keys)


def entropy_of_logits(logits: Tensor, allowed: Tensor) -> Tensor:
    """Return the entropy of softmax rows.

    Parameters
    ----------
    logits : scaled logits s, shape (..., queries, keys).
    allowed : which keys a query sees, bool, broadcastable to the logits; every query sees at least one.

    Returns
    -------
    E, shape (..., queries).
    """
    masked = logits.masked_fill(~allowed, -torch.inf)
    log_weights = torch.log_softmax(masked, dim=-1)
    # -inf * 0 of a hidden key would be NaN, in the gradient too: its term is taken out before the product
    return -(log_weights.exp() * log_weights.masked_fill(~allowed, 0.0)).sum(dim=-1)


def head_entropy(rows: Tensor, n_keys: Tensor | None = None) -> Tensor:
    """Return the mean over samples and queries of row entropies.

    Parameters
    ----------
    rows : E, shape (batch, ..., queries).
    n_keys : allowed keys of each row, broadcastable; rows without keys are left out. None: causal, 1 to T.

    Returns
    -------
    The axes between, for a model (L, H). A NaN row makes its head NaN.

    Raises
    ------
    ValueError : a head without any row.
    """
    return _mean_of_rows(rows, _keys_of_rows(rows, n_keys) >= 1)


def normalized_head_entropy(rows: Tensor, n_keys: Tensor | None = None) -> Tensor:
    """Return the mean of E / ln(allowed keys), in [0, 1], as `head_entropy` does, over rows of at least 2 keys."""
    keys = _keys_of_rows(rows, n_keys)
    return _mean_of_rows(rows / keys.clamp_min(2).to(rows.dtype).log(), keys >= 2)


def causal_max_entropy(T: int) -> float:
    """Return the largest head entropy under a causal mask of T positions, ln(T!) / T.

    Raises
    ------
    ValueError : T < 1.

    Examples
    --------
    >>> round(causal_max_entropy(128), 4), round(math.log(128), 4)
    (3.8782, 4.852)
    """
    T = whole_number(1, T=T)
    return math.lgamma(T + 1) / T


def _scores(weights: Tensor | None, logits: Tensor | None) -> Tensor:
    if (weights is None) == (logits is None):
        raise TypeError("attention_entropy takes exactly one of weights and logits")
    name, scores = ("weights", weights) if weights is not None else ("logits", logits)
    if not isinstance(scores, Tensor) or not scores.is_floating_point():
        raise TypeError(f"{name} must be a tensor of floats, got {scores.dtype if isinstance(scores, Tensor) else type(scores).__name__}")
    if scores.ndim < 2 or not scores.numel():
        raise ValueError(f"{name} must have shape (..., queries, keys) and no empty axis, got {tuple(scores.shape)}")
    if bool(scores.isnan().any()):
        raise ValueError(f"{name} must not contain NaN; the run has diverged: go back to the last finite step")
    return scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores


def _allowed(mask: Tensor | None, scores: Tensor) -> Tensor:
    n_queries, n_keys = scores.shape[-2:]
    if mask is None:
        if n_queries > n_keys:
            raise ValueError(
                f"a causal mask needs at least as many keys as queries, got {n_keys} and {n_queries}; say with mask= who sees what"
            )
        return torch.ones(n_queries, n_keys, dtype=torch.bool, device=scores.device).tril(n_keys - n_queries).expand(scores.shape)
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        raise TypeError(f"mask must be a bool tensor, True where a key is seen, got {getattr(mask, 'dtype', type(mask).__name__)}")
    if mask.ndim > scores.ndim or any(m not in (1, s) for m, s in zip(mask.shape[::-1], scores.shape[::-1], strict=False)):
        raise ValueError(f"mask must be broadcastable to the attention's shape {tuple(scores.shape)}, got {tuple(mask.shape)}")
    return mask.to(scores.device).expand(scores.shape)


def _entropy_of_weights(weights: Tensor, allowed: Tensor) -> Tensor:
    seen = weights.masked_fill(~allowed, 0.0)
    if bool((seen < 0).any()):
        raise ValueError("weights must be >= 0; a score that gives negative weights has no entropy")
    off = (seen.detach().sum(dim=-1) - 1).abs() > _ROW_SUM_TOLERANCE
    if n_off := int((off & allowed.any(dim=-1)).sum()):
        raise ValueError(
            f"rows of weights must sum to 1 within {_ROW_SUM_TOLERANCE:g} over the allowed keys, {n_off} of {off.numel()} don't; "
            "normalize them, or say with mask= which keys they see (without it, attention is taken to be causal)"
        )
    # 0 ln 0 = 0, and its gradient is not the infinity of ln 0
    positive = seen.masked_fill(seen == 0, 1.0)
    return -(positive * positive.log()).sum(dim=-1)


def _entropy_where_seen(logits: Tensor, allowed: Tensor) -> Tensor:
    """Return the entropy of softmax rows, 0 where a query sees no key."""
    if bool((~logits.isfinite() & allowed).any()):
        raise ValueError("logits must be finite at allowed keys; say with mask= which keys are hidden, not with infinite logits")
    blind = ~allowed.any(dim=-1, keepdim=True)
    return entropy_of_logits(logits.masked_fill(blind, 0.0), allowed | blind).masked_fill(blind.squeeze(-1), 0.0)


def _keys_of_rows(rows: Tensor, n_keys: Tensor | None) -> Tensor:
    return torch.arange(1, rows.shape[-1] + 1, device=rows.device) if n_keys is None else n_keys


def _mean_of_rows(rows: Tensor, counted: Tensor) -> Tensor:
    if rows.ndim < 2:
        raise ValueError(f"row entropies must have shape (batch, ..., queries), got {tuple(rows.shape)}")
    counted = counted.expand(rows.shape)
    n = counted.sum(dim=(0, -1))
    if not rows.numel() or bool((n == 0).any()):
        raise ValueError("a head has no row with enough allowed keys to average; check the mask, or use a longer context")
    return rows.masked_fill(~counted, 0.0).sum(dim=(0, -1)) / n
