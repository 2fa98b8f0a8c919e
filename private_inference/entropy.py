"""Entropy of attention rows, in nats, and the largest value that a causal mask allows.

    E_i = -sum_j a_ij ln a_ij  =  logsumexp(s_i) - sum_j a_ij s_ij     with a = softmax(s), over the allowed keys only

The second form has an exact gradient and no `log(a + eps)`, which biases, and which is NaN in float16.
"""

from __future__ import annotations

import torch
from torch import Tensor


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
