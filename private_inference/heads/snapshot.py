"""Head entropies of one moment of training, with the learned numbers that steer them.

Arrays are small: (L, H) or (L,). A temperature table of (H, T) is kept as its mean over positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from mechanisms.json_ready import JsonValue, json_ready
from mechanisms.validation import whole_number
from private_inference.gpt import PIGPT, Block
from private_inference.heads.entropy import head_entropy, normalized_head_entropy
from private_inference.heads.penalty import EntropyPenalty
from private_inference.leaves import Gain, HeadTemperature

Floats = NDArray[np.float64]
Held = TypeVar("Held", bound=nn.Module)
_TABLES = ("entropy", "normalized", "theta", "temperature", "alpha", "beta")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EntropySnapshot:
    """One update of an `EntropyTracker`.

    Parameters
    ----------
    step : of training.
    T : context length.
    entropy, normalized : head entropies in nats, and means of E_i / ln i; (L, H), NaN where a row's was.
    theta : shares of the penalty, (L, H), or None.
    temperature : t, (L, H), or None.
    alpha, beta : scaling of the FFN and of its skip, (L,), or None.
    loss : the training loss, or None; may be NaN.
    """

    step: int
    T: int
    entropy: Floats
    normalized: Floats
    theta: Floats | None = None
    temperature: Floats | None = None
    alpha: Floats | None = None
    beta: Floats | None = None
    loss: float | None = None

    def __post_init__(self) -> None:
        whole_number(0, step=self.step)
        whole_number(2, T=self.T)
        for name in _TABLES:
            object.__setattr__(self, name, _read_only(getattr(self, name)))
        shape = self.entropy.shape
        wanted = dict.fromkeys(("entropy", "normalized", "theta", "temperature"), shape) | dict.fromkeys(("alpha", "beta"), shape[:1])
        for name, size in wanted.items():
            table = getattr(self, name)
            if len(shape) != 2 or (table is not None and table.shape != size):
                raise ValueError(f"{name} must have shape (layers, heads), or (layers,) for alpha and beta, and fit entropy's {shape}")

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, ({name: getattr(self, name) for name in self.__slots__},)

    @property
    def finite(self) -> NDArray[np.bool_]:
        """Return which heads have finite entropies, (L, H)."""
        return np.isfinite(self.entropy)

    def equals(self, other: EntropySnapshot) -> bool:
        """Return whether all numbers are the same; NaN equals NaN."""
        return self.to_dict() == other.to_dict()

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record; a NaN is the string "nan"."""
        own = {name: _with_nan(getattr(self, name)) for name in self.__slots__}
        return {**own, "finite": json_ready(self.finite)}

    @classmethod
    def from_dict(cls, record: Mapping[str, object]) -> EntropySnapshot:
        """Rebuild a snapshot from `to_dict()`."""
        tables = {name: None if record.get(name) is None else np.asarray(record[name], dtype=np.float64) for name in (*_TABLES, "loss")}
        loss = tables.pop("loss")
        numbers = {name: whole_number(**{name: record[name]}) for name in ("step", "T")}
        return _rebuild({**tables, **numbers, "loss": None if loss is None else float(loss)})


def take_snapshot(
    step: int, rows: Tensor, *, model: nn.Module | None = None, penalty: nn.Module | None = None, loss: float | None = None
) -> EntropySnapshot:
    """Return the snapshot of row entropies (B, L, H, T), and of what is learned in a model and a penalty.

    Parameters
    ----------
    step, rows, loss : as in `EntropySnapshot`.
    model, penalty : a PIGPT and an EntropyPenalty, or modules that hold one (a GuidedLoss, a GradSampleModule).

    Raises
    ------
    ValueError : rows of another shape, or without samples.
    TypeError : a module that holds no PIGPT, or no EntropyPenalty.
    """
    if rows.ndim != 4 or not rows.numel() or rows.shape[3] < 2:
        raise ValueError(f"entropy must have shape (samples, layers, heads, at least 2 positions), got {tuple(rows.shape)}")
    rows = rows.detach().double()
    learned: dict[str, Floats | None] = {}
    if model is not None:
        blocks = [cast(Block, block) for block in _held(model, PIGPT).blocks]
        inverse_alpha = _gains([block.feedforward_gain for block in blocks])
        with np.errstate(divide="ignore"):  # a gain of 0 is alpha = inf
            learned["alpha"] = None if inverse_alpha is None else 1 / inverse_alpha
        learned |= {"beta": _gains([block.skip_gain for block in blocks]), "temperature": _temperatures(blocks)}
    if penalty is not None:
        learned["theta"] = _array(_held(penalty, EntropyPenalty).theta)
    heads, normalized = _array(head_entropy(rows)), _array(normalized_head_entropy(rows))
    return EntropySnapshot(step=step, T=rows.shape[3], entropy=heads, normalized=normalized, loss=loss, **learned)


def _held(module: nn.Module, kind: type[Held]) -> Held:
    for part in module.modules():
        if isinstance(part, kind):
            return part
    raise TypeError(f"a module that is or holds {kind.__name__} was expected, got {type(module).__name__}")


def _gains(gains: list[Gain | None]) -> Floats | None:
    values = [_array(gain.gain) for gain in gains if gain is not None]
    return np.concatenate(values) if values else None


def _temperatures(blocks: list[Block]) -> Floats | None:
    leaves = [block.attention.temperature for block in blocks]
    values = [_array(leaf.value).mean(axis=1) for leaf in leaves if isinstance(leaf, HeadTemperature)]
    return np.stack(values) if values else None


def _array(tensor: Tensor) -> Floats:
    return tensor.detach().cpu().double().numpy()


def _read_only(values: ArrayLike | None) -> Floats | None:
    if values is None:
        return None
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


def _with_nan(value: object) -> JsonValue:
    if isinstance(value, np.ndarray):
        return [_with_nan(item) for item in value.tolist()]
    if isinstance(value, list):
        return [_with_nan(item) for item in value]
    return "nan" if value != value else json_ready(value)


def _rebuild(values: Mapping[str, object]) -> EntropySnapshot:
    return EntropySnapshot(**values)  # type: ignore[arg-type]
