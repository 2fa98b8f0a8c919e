"""A decoder-only language model with as many nonlinear parts as its variant keeps.

    Y = X + MHA(N1(X));  X' = beta Y + (1/alpha) FFN(N2(Y));  logits = N_f(X) W_out, W_out the embedding's matrix if tied

The model calls its parts in the order of a block's formula; norm-free variants keep no final norm either. Every learnable scalar lives in
a leaf of its own (`leaves`), so the model trains under Opacus as it is.

References
----------
Radford et al., Language Models are Unsupervised Multitask Learners, 2019. Jha, Reagen, Entropy-Guided Attention for Private LLMs, PPAI
at AAAI 2025.
"""

from __future__ import annotations

from typing import Literal, cast, overload

import torch
from torch import Tensor, nn

from mechanisms.randomness import RngLike, as_generator
from private_inference.attention import CausalAttention, NonFiniteAttentionError, finite_entropies
from private_inference.config import PIGPTConfig
from private_inference.feedforward import WeightNormLinear, feedforward
from private_inference.leaves import Gain, HeadTemperature

_NO_TARGET = -(2**40)  # torch ignores -100 unless told otherwise: a loss of 0 that would count in the mean


class Block(nn.Module):
    """One block; an absent part is None."""

    def __init__(self, config: PIGPTConfig) -> None:
        super().__init__()
        self.config, parts = config, config.parts
        self.attention_norm = nn.LayerNorm(config.n_embd) if parts.layer_norm else None
        self.attention = CausalAttention(config)
        self.feedforward_norm = nn.LayerNorm(config.n_embd) if parts.layer_norm and parts.feedforward != "none" else None
        self.feedforward = feedforward(config)
        self.skip_gain = Gain() if parts.scaled else None  # beta
        self.feedforward_gain = Gain() if parts.scaled else None  # 1 / alpha

    def forward(self, x: Tensor) -> Tensor:
        """Return X', shape (B, T, d)."""
        return self._after_attention(x + self.attention(_through(self.attention_norm, x)))

    def with_entropy(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return X' and the entropies of the block's rows, (B, H, T)."""
        mixed, entropy = self.attention.with_entropy(_through(self.attention_norm, x))
        return self._after_attention(x + mixed), entropy

    def _after_attention(self, y: Tensor) -> Tensor:
        if self.feedforward is None:
            return y
        added = self.feedforward(_through(self.feedforward_norm, y))
        return _through(self.skip_gain, y) + _through(self.feedforward_gain, added)


class PIGPT(nn.Module):
    """The model.

    Parameters
    ----------
    config : shape and variant.
    rng : initial weights, Normal(0, init_std).

    Examples
    --------
    >>> config = PIGPTConfig(n_layer=2, n_head=2, n_embd=8, block_size=16, vocab_size=32, variant="sm_scfuffn")
    >>> logits, entropy = PIGPT(config, rng=0)(torch.zeros(3, 16, dtype=torch.long), return_entropy=True)
    >>> logits.shape, entropy.shape
    (torch.Size([3, 16, 32]), torch.Size([3, 2, 2, 16]))
    """

    def __init__(self, config: PIGPTConfig, *, rng: RngLike = None) -> None:
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=[]):  # torch's layers draw from the global generator when they are made
            self.token_embedding = nn.Embedding(config.vocab_size, config.n_embd)
            self.position_embedding = nn.Embedding(config.block_size, config.n_embd)
            self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
            self.final_norm = nn.LayerNorm(config.n_embd) if config.parts.layer_norm else None
            self.unembedding = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        if config.tied:
            self.unembedding.weight = self.token_embedding.weight
        _draw_weights(self, config.init_std, rng)

    @overload
    def forward(self, ids: Tensor, *, return_entropy: Literal[False] = False) -> Tensor: ...
    @overload
    def forward(self, ids: Tensor, *, return_entropy: Literal[True]) -> tuple[Tensor, Tensor]: ...
    def forward(self, ids: Tensor, *, return_entropy: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Return next-token logits (B, T, V), and on request the entropy of each attention row, (B, L, H, T), in nats.

        Raises
        ------
        ValueError : `ids` is not (B, T), T is above block_size, an id is no token; entropies asked of score "linear".
        TypeError : `ids` is no tensor of 64-bit or 32-bit whole numbers.
        NonFiniteAttentionError : entropies are asked for and attention holds a NaN or an infinity.
        """
        x = self.embed(ids)
        if not return_entropy:
            for block in self.blocks:
                x = block(x)
            return self.unembed(x)
        entropies = []
        for block in self.blocks:
            x, entropy = cast(Block, block).with_entropy(x)
            entropies.append(entropy)
        entropy = finite_entropies(torch.stack(entropies, dim=1))
        if not bool(x.isfinite().all()):  # values or an FFN of the last layer: no row comes after to show it
            raise NonFiniteAttentionError(f"the output of layer {len(self.blocks) - 1} is not finite", layer=len(self.blocks) - 1)
        return self.unembed(x), entropy

    def embed(self, ids: Tensor) -> Tensor:
        """Return the sum of token and position embeddings, (B, T, d)."""
        if not isinstance(ids, Tensor) or ids.dtype not in (torch.int64, torch.int32):
            found = ids.dtype if isinstance(ids, Tensor) else type(ids).__name__
            raise TypeError(f"ids must be a tensor of torch.int64 or torch.int32, got {found}; convert them with .long()")
        if ids.ndim != 2 or not 1 <= ids.shape[1] <= self.config.block_size:
            raise ValueError(f"ids must have shape (batch, 1..{self.config.block_size}), got {tuple(ids.shape)}")
        positions = torch.arange(ids.shape[1], device=ids.device).repeat(len(ids), 1)  # one row a sample: per-sample gradients
        try:
            return cast(Tensor, self.token_embedding(ids.contiguous()) + self.position_embedding(positions))
        except IndexError:
            raise ValueError(f"ids must be in 0..{self.config.vocab_size - 1}, some are not; use the vocabulary of the model") from None

    def unembed(self, x: Tensor) -> Tensor:
        """Return the logits of the last block's output."""
        return cast(Tensor, self.unembedding(_through(self.final_norm, x)))


def next_token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return each sequence's mean cross-entropy in nats, shape (B,).

    Parameters
    ----------
    logits : (B, T, V).
    targets : the token that follows each position, int64, (B, T); every position counts, there is no padding.

    Raises
    ------
    ValueError : shapes don't fit, or a target is no token.
    """
    if targets.shape != logits.shape[:-1]:
        raise ValueError(f"targets must have shape {tuple(logits.shape[:-1])}, got {tuple(targets.shape)}")
    try:
        losses = nn.functional.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none", ignore_index=_NO_TARGET)
    except IndexError:
        raise ValueError(f"targets must be in 0..{logits.shape[-1] - 1}, some are not; cut padding off before") from None
    return losses.view(targets.shape).mean(dim=1)


def _through(module: nn.Module | None, x: Tensor) -> Tensor:
    return x if module is None else module(x)


def _draw_weights(model: nn.Module, std: float, rng: RngLike) -> None:
    """Draw all matrices; gains, norms and temperatures keep their starts."""
    generator = torch.Generator().manual_seed(int(as_generator(rng).integers(2**63)))
    tables = {id(leaf.raw) for leaf in model.modules() if isinstance(leaf, HeadTemperature)}
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2 and id(parameter) not in tables:
                parameter.normal_(0.0, std, generator=generator)
        for leaf in model.modules():
            if isinstance(leaf, WeightNormLinear):
                leaf.start_as_drawn()
