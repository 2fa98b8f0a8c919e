"""Phantom coordinates: one extra weight per canary, trained by the user's own engine.

The wrapped module answers a real record as before, with zero gradient on the phantom weights. For canary i it answers zero, with zero
gradient on the user's weights, and moves weight i along the steepest descent of the user's own loss: the gradient on w_i is

    - scale * || d loss / d output ||,

larger than the clipping norm C. After clipping it is exactly -C on coordinate i: canaries are orthogonal to each other and to the user's
gradient, and the noise on their coordinates is the engine's own. (Phantom coordinates in the sense of Nasr et al. 2023, Dirac canaries.)

Cost: (batch x canaries) floats per step for the per-record gradients of the phantom weights.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from attacks.canaries.marks import input_tensor, read_marks

PULL = 20.0  # scale / clipping norm; the raw gradient is then 14 to 20 C for cross-entropy and 10 C for a binary logit


class _SteepestDescent(torch.autograd.Function):
    """Forward: the outputs, zero in canary rows. Backward: canary rows send -scale * norm to `pull` instead of to the outputs."""

    @staticmethod
    def forward(ctx: Any, outputs: Tensor, pull: Tensor, places: Tensor, canary_id: Tensor, module: PhantomModule) -> Tensor:  # noqa: ARG004
        ctx.save_for_backward(places, canary_id)
        ctx.module = module
        return outputs.index_fill(0, places, 0.0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        places, canary_id = ctx.saved_tensors
        grad, module = grads[0], ctx.module
        pull = grad.new_zeros((len(grad), 1))
        if len(places):
            norms = grad[places].flatten(1).norm(dim=1)
            module.watch(norms, len(grad))
            pull[places, 0] = -module.scale * norms * module.present[canary_id[places]]
        return grad.index_fill(0, places, 0.0), pull, None, None, None


class PhantomModule(nn.Module):
    """The user's module with one phantom weight per canary.

    Parameters
    ----------
    module : takes a tensor whose first axis is the batch, returns one tensor whose first axis is the batch.
    n_canaries : number of phantom weights.

    Notes
    -----
    `.module` is the user's own module, trained in place; deploy that one. `.batches` collects, for every training forward pass since the
    last step, the number of rows and the canaries among them; the probe empties it at each step. The probe sets `scale` to PULL times the
    clipping norm and `mean_loss` to whether the user's loss is a mean over the batch. `present` says which canaries contribute; the others
    hold their places in the batches and contribute zero (neighbors by zeroing out). All do unless a probe says otherwise.
    """

    def __init__(self, module: nn.Module, n_canaries: int) -> None:
        super().__init__()
        self.module = module
        self.phantom = nn.Embedding(n_canaries + 1, 1)  # the last row stands for "no canary" and never gets a gradient
        nn.init.zeros_(self.phantom.weight)
        reference = next((p for p in module.parameters() if p.is_floating_point()), None)
        if reference is not None:
            self.phantom.to(device=reference.device, dtype=reference.dtype)
        self.n_canaries = n_canaries
        self.register_buffer("present", torch.ones(n_canaries + 1, dtype=torch.bool), persistent=False)
        self.present: Tensor
        self.scale = PULL
        self.mean_loss = True
        self.batches: list[tuple[int, Tensor]] = []
        self.weakest_pull = float("inf")  # smallest ||d loss / d output|| of a canary, per record, in any step

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Answer real records as the user's module does, canaries with zero."""
        inputs = input_tensor(args, kwargs)
        places, canary_id = read_marks(inputs, self.n_canaries)
        clean = inputs.index_fill(0, places, 0)
        outputs = self.module(*(_swap(a, inputs, clean) for a in args), **{k: _swap(v, inputs, clean) for k, v in kwargs.items()})
        if not isinstance(outputs, Tensor) or outputs.dim() == 0 or len(outputs) != len(inputs):
            raise TypeError("a module under a canary probe must return one tensor whose first axis is the batch")
        if self.training and torch.is_grad_enabled():
            self.batches.append((len(inputs), canary_id[places]))
        result: Tensor = _SteepestDescent.apply(outputs, self.phantom(canary_id), places, canary_id, self)  # type: ignore[no-untyped-call]
        return result

    def watch(self, norms: Tensor, batch_size: int) -> None:
        """Note the weakest pull ||d loss / d output|| among the canaries of a batch."""
        self.weakest_pull = min(self.weakest_pull, float(norms.min()) * (batch_size if self.mean_loss else 1))

    def canary_weights(self) -> Tensor:
        """Return the (n_canaries,) phantom coordinates."""
        return self.phantom.weight.detach()[:-1, 0]


def _swap(value: Any, old: Tensor, new: Tensor) -> Any:
    return new if value is old else value


def phantom_weight(module: PhantomModule) -> nn.Parameter:
    """Return the parameter that holds the phantom coordinates: (n_canaries + 1, 1), the last one stays still."""
    weight = module.phantom.weight
    assert isinstance(weight, nn.Parameter)
    return weight
