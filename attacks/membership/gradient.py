"""White-box scores from the gradient g = grad_theta loss(record): its norm, and its alignment with what training did.

    gradient_norm        s = -log ||g||: a member's gradient has been driven towards 0 (Nasr, Shokri, Houmansadr, S&P 2019)
    gradient_alignment   s = sum_t <g_t, theta_{t-1} - theta_t> / max(||g_t||, C), g_t at theta_{t-1}: a member pulled the weights along its
                         own gradient; division as in DP-SGD clipping with norm C (Nasr et al., USENIX Security 2023)
Per-record gradients by `torch.func`, in chunks; the module runs in evaluation mode and gets its mode back. Memory: chunk x parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from mechanisms.validation import positive, whole_number

Loss = Callable[[Tensor, Tensor], Tensor]
State = Mapping[str, Tensor]


def gradient_norm(module: nn.Module, loss: Loss, features: Tensor, labels: Tensor, *, chunk: int = 64) -> NDArray[np.float64]:
    """Return -log ||grad_theta loss|| of each record; infinite where the gradient is 0.

    Parameters
    ----------
    module : the target model.
    loss : (outputs (1, ...), labels (1,)) -> scalar, for example `torch.nn.functional.cross_entropy`.
    features, labels : (n, ...) and (n,).
    chunk : records at a time, >= 1.

    Raises
    ------
    ValueError : no parameter to train, lengths that differ, gradients that aren't finite.
    """
    state = {name: value.detach() for name, value in module.state_dict().items()}
    norms = [_norm(part) for part in _gradients(module, state, loss, features, labels, chunk)]
    squared = torch.cat(norms).cpu().numpy()
    with np.errstate(divide="ignore"):  # gradient 0: infinite score, legal
        return np.asarray(-np.log(_finite(squared)), dtype=np.float64)


def gradient_alignment(
    module: nn.Module,
    checkpoints: Sequence[State],
    loss: Loss,
    features: Tensor,
    labels: Tensor,
    *,
    max_grad_norm: float,
    chunk: int = 64,
) -> NDArray[np.float64]:
    """Return sum_t <g_t, theta_{t-1} - theta_t> / max(||g_t||, max_grad_norm) of each record.

    Parameters
    ----------
    module : gives the architecture; its weights are not used and not changed.
    checkpoints : state dicts in the order of training, at least 2.
    loss, features, labels, chunk : as for `gradient_norm`.
    max_grad_norm : C > 0; a gradient shorter than C is divided by C.

    Raises
    ------
    ValueError : fewer than 2 checkpoints, names or shapes that don't belong to the module, lengths that differ.
    """
    bound = positive(max_grad_norm=max_grad_norm)
    if len(checkpoints) < 2:
        raise ValueError(f"checkpoints must hold at least 2 states, got {len(checkpoints)}")
    for state in checkpoints:
        _check_state(module, state)
    total = torch.zeros(len(features), dtype=torch.float64)
    for before, after in pairwise(checkpoints):
        move = {name: (before[name].detach() - after[name].detach()).double().flatten() for name in _trainable(module)}
        parts = [
            sum(part[name].double().flatten(1) @ move[name] for name in move) / _norm(part).clamp(min=bound)
            for part in _gradients(module, before, loss, features, labels, chunk)
        ]
        total += torch.cat(parts).cpu()
    return _finite(total.numpy())


def _gradients(module: nn.Module, state: State, loss: Loss, features: Tensor, labels: Tensor, chunk: int) -> Iterator[dict[str, Tensor]]:
    """Yield per-record gradients, one dict of (records, ...) tensors for each chunk."""
    chunk = whole_number(1, chunk=chunk)
    names = _trainable(module)
    if not names:
        raise ValueError("module must have at least one parameter with requires_grad")
    if len(features) != len(labels) or len(features) == 0:
        raise ValueError(f"features and labels must have one length > 0, got {len(features)} and {len(labels)}")
    fixed = {name: value.detach() for name, value in state.items() if name not in names}

    def record_loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return loss(functional_call(module, {**fixed, **weights}, (x[None],)), y[None])

    per_record = vmap(grad(record_loss), in_dims=(None, 0, 0))
    weights = {name: state[name].detach() for name in names}
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        for at in range(0, len(features), chunk):
            yield per_record(weights, features[at : at + chunk], labels[at : at + chunk])
    finally:
        for part, training in modes.items():
            part.training = training


def _trainable(module: nn.Module) -> list[str]:
    return [name for name, parameter in module.named_parameters() if parameter.requires_grad]


def _norm(gradients: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([part.double().flatten(1).square().sum(1) for part in gradients.values()]).sum(0).sqrt()


def _check_state(module: nn.Module, state: State) -> None:
    shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    wrong = [name for name, shape in shapes.items() if name not in state or tuple(state[name].shape) != shape]
    if wrong:
        raise ValueError(f"checkpoints must have the module's names and shapes; missing or of another shape: {', '.join(sorted(wrong))}")


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    n_bad = int(np.sum(~np.isfinite(values)))
    if n_bad:
        raise ValueError(f"gradients must be finite, got {n_bad} of {len(values)} records whose gradient isn't")
    return values
