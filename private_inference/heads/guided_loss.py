"""A model and its entropy penalty in one module, so that one optimizer, one `state_dict` and one Opacus engine hold both.

    net = GuidedLoss(model, EntropyPenalty(n_layer, n_head))
    net(ids, targets).mean().backward()                     each sequence's cross-entropy + its own penalty

    net, optimizer, loader = PrivacyEngine().make_private(module=net, ...)       the same call, then per-sample gradients of everything

References
----------
Jha, Reagen, Entropy-Guided Attention for Private LLMs, PPAI at AAAI 2025.
"""

from __future__ import annotations

from torch import Tensor, nn

from private_inference.gpt import PIGPT, next_token_loss
from private_inference.heads.penalty import EntropyPenalty


class GuidedLoss(nn.Module):
    """Losses of sequences under a model whose heads are guided.

    Parameters
    ----------
    model, penalty : of the same number of layers and heads; the penalty in position mode.

    Raises
    ------
    ValueError : other numbers of layers or heads, or a penalty in head mode.

    Guarantee
    ---------
    Entry b of the result depends on sequence b and the parameters only (see `EntropyPenalty`), so DP-SGD on its mean has the sensitivity
    and the accounting of DP-SGD on any other per-sequence loss: the clipping norm, for adding or removing a sequence.
    """

    def __init__(self, model: PIGPT, penalty: EntropyPenalty) -> None:
        super().__init__()
        shape = (model.config.n_layer, model.config.n_head)
        if shape != (penalty.n_layer, penalty.n_head):
            raise ValueError(f"penalty must have the model's (layers, heads) {shape}, got {(penalty.n_layer, penalty.n_head)}")
        if penalty.settings.mode == "head":
            raise ValueError("a penalty in mode='head' has no term of a single sequence; use mode='position'")
        self.model, self.penalty = model, penalty

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Return each sequence's loss, (B,): in training with its penalty, in evaluation the cross-entropy by the fused kernel alone."""
        if not self.training:
            return next_token_loss(self.model(ids), targets)
        logits, entropy = self.model(ids, return_entropy=True)
        return next_token_loss(logits, targets) + self.penalty.per_sample(entropy)
