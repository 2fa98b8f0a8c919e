"""What a membership attack reads from a language model: the loss of each sequence and, beside it, the entropies of its heads.

    loss_n = -(1/T) sum_t log p(x_{n,t+1} | x_{n,1..t})        nats a token; minus the loss is a membership score
    E_{n,l,h} = (1/T) sum_i E[n,l,h,i]                         nats: which heads look at few places, and which average

An attacker who may only query the model sees losses; entropies are seen by whoever holds the weights. Each number is of one sequence alone,
whatever stands beside it in a batch, up to the rounding of the arithmetic.

Cost: one forward pass, with the logits of `batch_size` sequences in memory; entropies take one unfused attention more.

References
----------
Yeom, Giacomelli, Fredrikson, Jha, Privacy Risk in Machine Learning, CSF 2018 (the loss as a score).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from mechanisms.validation import whole_number
from private_inference.gpt import PIGPT, next_token_loss
from private_inference.training.evaluation import evaluating

Floats = NDArray[np.float64]

BATCH_SIZE = 64


def sequence_losses(model: nn.Module, sequences: ArrayLike, *, batch_size: int = BATCH_SIZE) -> Floats:
    """Return the mean next-token loss of each sequence, in nats.

    Parameters
    ----------
    model : a `PIGPT`, a `FoldedGPT`, or any module that maps ids (B, T) to logits (B, T, V).
    sequences : (n, T + 1) token ids, T inputs and, one place later, T targets; T at least 1.
    batch_size : sequences at a time.

    Returns
    -------
    (n,) float64.

    Raises
    ------
    TypeError : ids that aren't whole numbers.
    ValueError : another shape, ids outside the vocabulary, a context longer than the model's, losses that aren't finite.

    Examples
    --------
    >>> from private_inference.config import PIGPTConfig
    >>> config = PIGPTConfig(n_layer=1, n_head=2, n_embd=8, block_size=4, vocab_size=16)
    >>> losses = sequence_losses(PIGPT(config, rng=0), [[0, 1, 2, 3, 4], [5, 5, 5, 5, 5]])
    >>> losses.shape, bool(np.all(losses < 2 * np.log(16)))
    ((2,), True)
    """

    def losses_of(rows: Tensor) -> Tensor:
        return next_token_loss(model(rows[:, :-1]).double(), rows[:, 1:])

    losses = _of_each(model, sequences, batch_size, losses_of)
    n_bad = int(np.sum(~np.isfinite(losses)))
    if n_bad:
        raise ValueError(f"losses must be finite, got {n_bad} of {len(losses)} that are not; the model has diverged")
    return losses


def head_entropies(model: PIGPT, sequences: ArrayLike, *, batch_size: int = BATCH_SIZE) -> Floats:
    """Return the mean entropy of each head's rows on each sequence, in nats.

    Parameters
    ----------
    model : with a score whose weights have an entropy.
    sequences, batch_size : as for `sequence_losses`; the last token is no input.

    Returns
    -------
    (n, L H) float64; the heads of the first layer come first.

    Raises
    ------
    TypeError, ValueError : as for `sequence_losses`; a model that gives no entropies.
    NonFiniteAttentionError : attention holds a NaN or an infinity.
    """
    if not isinstance(model, PIGPT):
        raise TypeError(f"model must be a PIGPT, which tells its entropies, got {type(model).__name__}")
    return _of_each(model, sequences, batch_size, lambda rows: model(rows[:, :-1], return_entropy=True)[1].double().mean(dim=3).flatten(1))


def _of_each(model: nn.Module, sequences: ArrayLike, batch_size: int, read: Callable[[Tensor], Tensor]) -> Floats:
    """Return what `read` says of each sequence, some sequences after the others."""
    ids, at_once = _token_ids(sequences), whole_number(1, batch_size=batch_size)
    weight = next((tensor for tensor in (*model.parameters(), *model.buffers())), None)
    if weight is not None:
        ids = ids.to(weight.device)
    try:
        with evaluating(model):
            parts = [read(rows).cpu().numpy() for rows in torch.split(ids, at_once)]
    except IndexError:
        raise ValueError("sequences must hold ids of the model's vocabulary, some are not; use its tokenizer") from None
    return np.concatenate(parts).astype(np.float64)


def _token_ids(sequences: ArrayLike) -> Tensor:
    array = np.asarray(sequences.detach().cpu() if isinstance(sequences, Tensor) else sequences)
    if array.dtype.kind not in "iu":
        raise TypeError(f"sequences must be token ids, whole numbers, got dtype {array.dtype}")
    if array.ndim != 2 or array.shape[0] < 1 or array.shape[1] < 2:
        raise ValueError(f"sequences must have shape (n, T + 1) with n and T at least 1, got {array.shape}")
    return torch.from_numpy(array.astype(np.int64))
