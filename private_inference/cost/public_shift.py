"""Is a softmax with a public shift safe for this model? A check in plaintext, on data that may be seen.

    softmax(x) = exp(x - c) / sum exp(x - c)     for every c; a secure program takes c = max x, which costs 36 % of its bytes

With a public c_l for each layer no maximum is computed, but a fixed-point engine breaks silently in two ways: a logit above c_l makes exp
overflow what was planned for, and a row whose largest logit is far below c_l has nothing left above the rounding of 2^-f. So calibration
takes c_l = (largest logit seen) + margin, and refuses if some row's maximum is more than `max_depth` below c_l: then the sum is at least
e^-depth, and rounding moves a weight a of n keys by at most (1 + n a) 2^-(f+1) e^depth (f = 18, depth 6.9: 0.002 (1 + n a)).

Logits of other inputs may exceed what was seen; nothing here proves that they don't. The shift stays off by default; `check` tells for new
inputs. A fold changes no logit, so calibrate before folding. What is published with c is one number a layer that depends on `ids`: use
public or held-out data. `measure_cost(..., score="softmax_shift", shift=...)` runs it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from mechanisms.json_ready import JsonValue, json_ready
from mechanisms.validation import non_negative, positive
from private_inference.attention import CausalAttention
from private_inference.gpt import PIGPT, Block

_SEQUENCES_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftCalibration:
    """The shifts of a model and what they were made from.

    Parameters
    ----------
    largest_logit : of each layer, over heads, queries and their keys.
    smallest_row_maximum : of each layer, the row that lies lowest.
    margin : room left above the largest logit.
    max_depth : how far below the shift a row's maximum may lie.
    n_sequences, T : size of the calibration data.
    """

    largest_logit: tuple[float, ...]
    smallest_row_maximum: tuple[float, ...]
    margin: float
    max_depth: float
    n_sequences: int
    T: int

    @property
    def shift(self) -> tuple[float, ...]:
        """Return c of each layer."""
        return tuple(largest + self.margin for largest in self.largest_logit)

    @property
    def depth(self) -> tuple[float, ...]:
        """Return how far below the shift the lowest row of each layer lies."""
        return tuple(c - lowest for c, lowest in zip(self.shift, self.smallest_row_maximum, strict=True))

    def check(self, model: PIGPT, ids: Tensor) -> None:
        """Hold other inputs against the shifts.

        Raises
        ------
        ValueError : a logit is above its layer's shift, or a row lies too far below it; the layer is named.
        """
        for layer, (largest, lowest) in enumerate(_extremes(model, ids)):
            _refuse_outside(layer, largest, lowest, self.shift[layer], self.max_depth)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        names = ("largest_logit", "smallest_row_maximum", "margin", "max_depth", "n_sequences", "T", "shift", "depth")
        return {"schema_version": 1, **{name: json_ready(getattr(self, name)) for name in names}}


def calibrate_public_shift(model: PIGPT, ids: Tensor, *, margin: float = 1.0, max_depth: float = 6.9) -> ShiftCalibration:
    """Return a public shift for each layer, or refuse.

    Parameters
    ----------
    model : score softmax or softmax_rr; others have no shift.
    ids : token ids, (B, T); public or held-out data.
    margin : room above the largest logit seen, >= 0.
    max_depth : how far below the shift a row's maximum may lie, > 0; 6.9 for 18 fractional bits.

    Raises
    ------
    ValueError : the model's score is no softmax, `ids` has a wrong shape, a logit is not finite, or a row lies too far below its shift.
    """
    margin, max_depth = non_negative(margin=margin), positive(max_depth=max_depth)
    if model.config.score not in ("softmax", "softmax_rr"):
        raise ValueError(f"score must be softmax or softmax_rr to have a shift, got {model.config.score!r}")
    extremes = _extremes(model, ids)
    for layer, (largest, lowest) in enumerate(extremes):
        _refuse_outside(layer, largest, lowest, largest + margin, max_depth)
    return ShiftCalibration(
        largest_logit=tuple(largest for largest, _ in extremes),
        smallest_row_maximum=tuple(lowest for _, lowest in extremes),
        margin=margin,
        max_depth=max_depth,
        n_sequences=ids.shape[0],
        T=ids.shape[1],
    )


@torch.no_grad()
def _extremes(model: PIGPT, ids: Tensor) -> list[tuple[float, float]]:
    """Return the largest logit and the smallest maximum of a row, for each layer."""
    if len(ids) == 0:
        raise ValueError("ids must hold at least one sequence, got none")
    found = [(-math.inf, math.inf)] * model.config.n_layer
    for start in range(0, len(ids), _SEQUENCES_AT_ONCE):
        x = model.embed(ids[start : start + _SEQUENCES_AT_ONCE])
        for layer, block in enumerate(cast("list[Block]", model.blocks)):
            maxima = _row_maxima(block.attention, x if block.attention_norm is None else block.attention_norm(x))
            if not bool(torch.isfinite(maxima).all()):
                raise ValueError(f"logits of layer {layer} must be finite; the model has diverged, use an earlier checkpoint")
            found[layer] = max(found[layer][0], float(maxima.max())), min(found[layer][1], float(maxima.min()))
            x = block(x)
    return found


def _row_maxima(attention: CausalAttention, x: Tensor) -> Tensor:
    """Return the largest logit of each row over the keys that its query sees, (B, H, T)."""
    batch, length, _ = x.shape
    q, k = (project(x).view(batch, length, attention.n_head, -1).transpose(1, 2) for project in (attention.query, attention.key))
    logits: Tensor = attention.temperature(q) @ k.transpose(-2, -1) / math.sqrt(attention.head_size)
    hidden = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(diagonal=1)
    return logits.masked_fill(hidden, -torch.inf).amax(dim=-1)


def _refuse_outside(layer: int, largest: float, lowest: float, shift: float, max_depth: float) -> None:
    if largest > shift:
        raise ValueError(f"logits of layer {layer} must be at most its shift {shift:.3g}, and one is above; calibrate with a larger margin")
    if shift - lowest > max_depth:
        raise ValueError(
            f"the maximum of every row of layer {layer} must be at most {max_depth:g} below its shift {shift:.3g}, and one lies lower;"
            " compute the row maximum (softmax_rr) instead"
        )
