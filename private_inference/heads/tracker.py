"""Entropies of attention heads over training: kept every few steps, drawn, diagnosed, written as JSON.

    tracker = EntropyTracker(data="held_out")
    tracker.update(step, model(ids, return_entropy=True)[1], model=model, penalty=penalty)
    tracker.diagnose().warnings

Cost: an update every 50 steps, the unfused forward pass on one batch included, takes below 5 % of training's time
(`experiments/bench_entropy_tracking.py`).

Guarantee
---------
None of its own. Entropies measured on training records are NOT covered by the guarantee of training with differential privacy: noise was
put on gradients, not on them. Measured on held-out or public records they say about training records only what the weights say. A tracker
says in its record, its report and its picture which of the two it holds; unless told, it assumes the worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from mechanisms.json_ready import JsonValue
from mechanisms.validation import one_of, whole_number
from private_inference.heads.bands import BandReference, EntropyBands, entropy_bands
from private_inference.heads.diagnosis import EntropyReport, HealthLimits, diagnose
from private_inference.heads.plots import draw_head_entropies
from private_inference.heads.snapshot import EntropySnapshot, take_snapshot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DataSource = Literal["held_out", "training"]
SCHEMA_VERSION = 1
NOT_PRIVATE = "measured on training records without noise: not covered by any guarantee of the training, not to be published"
AS_THE_WEIGHTS = "measured on held-out records: of the training records it says what the weights say; held-out records are not protected"


class EntropyTracker:
    """Keeps a snapshot of every update.

    Parameters
    ----------
    data : whose entropies these are: "training" records (not private, the default) or "held_out" ones.

    Raises
    ------
    ValueError : another word.

    Examples
    --------
    >>> import torch
    >>> tracker = EntropyTracker(data="held_out")
    >>> uniform = torch.arange(1.0, 17.0).log().expand(8, 2, 4, 16)
    >>> tracker.update(0, uniform).entropy.shape, tracker.bands().shares
    ((2, 4), (0.0, 0.0, 0.0, 1.0))
    """

    def __init__(self, *, data: DataSource = "training") -> None:
        one_of(get_args(DataSource), data=data)
        self.data: DataSource = data
        self.snapshots: list[EntropySnapshot] = []
        self.diverged_at: int | None = None

    def update(
        self,
        step: int,
        entropy: Tensor,
        *,
        model: nn.Module | None = None,
        penalty: nn.Module | None = None,
        loss: float | None = None,
    ) -> EntropySnapshot:
        """Keep the head entropies of a step, and return them.

        Parameters
        ----------
        step : larger than that of the last update.
        entropy : row entropies (B, L, H, T) in nats.
        model, penalty : where t, alpha, beta and theta are read: a PIGPT and an EntropyPenalty, or modules that hold one.
        loss : the training loss. If it, or an entropy, is not finite, the run is marked as diverged.

        Raises
        ------
        ValueError : a step that is not larger, or entropies of another shape or of other numbers of layers and heads than before.
        TypeError : a module that holds no PIGPT, or no EntropyPenalty.
        """
        loss = None if loss is None else float(loss)
        snapshot = take_snapshot(step, entropy, model=model, penalty=penalty, loss=loss)
        self._append(snapshot)
        if not (snapshot.finite.all() and (loss is None or np.isfinite(loss))):
            self.mark_diverged(step)
        return snapshot

    def mark_diverged(self, step: int) -> None:
        """Say that the run broke at a step (a loss, a gradient, a row of attention is not finite); the first one is kept."""
        if self.diverged_at is None:
            self.diverged_at = whole_number(step=step)

    @property
    def steps(self) -> NDArray[np.int64]:
        """Return the steps of the updates, (n,)."""
        return np.array([snapshot.step for snapshot in self.snapshots], dtype=np.int64)

    @property
    def head_entropy(self) -> NDArray[np.float64]:
        """Return the head entropies of all updates, (n, L, H)."""
        return np.stack([snapshot.entropy for snapshot in self._kept()])

    def bands(self, *, reference: BandReference = "causal") -> EntropyBands:
        """Return the census of the last update; ValueError if it is not finite, or if there is none."""
        last = self._kept()[-1]
        return entropy_bands(last.entropy, T=last.T, reference=reference)

    def diagnose(self, *, limits: HealthLimits | None = None) -> EntropyReport:
        """Return the report of the last finite update; a run that broke later is warned of first.

        Raises
        ------
        ValueError : no update yet.
        """
        finite = [snapshot for snapshot in self._kept() if snapshot.finite.all()]
        shown = finite[-1] if finite else self.snapshots[-1]
        report = diagnose(shown.entropy, T=shown.T, limits=limits)
        if self.diverged_at is None or not finite:
            return report
        text = (
            f"diverged: step {self.diverged_at} is not finite, entropies are those of step {shown.step}; "
            "start again from an earlier state with a lower learning rate, or clip gradients"
        )
        return replace(report, warnings=(text, *report.warnings))

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record, which says whether it may be published."""
        return {
            "schema_version": SCHEMA_VERSION,
            "data": self.data,
            "note": NOT_PRIVATE if self.data == "training" else AS_THE_WEIGHTS,
            "diverged_at": self.diverged_at,
            "snapshots": [snapshot.to_dict() for snapshot in self.snapshots],
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, object]) -> EntropyTracker:
        """Rebuild a tracker from `to_dict()`.

        Raises
        ------
        ValueError, TypeError : another schema version, or a record of another form.
        """
        if record.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(f"schema_version must be {SCHEMA_VERSION}, got {record.get('schema_version')!r}")
        snapshots, data, diverged_at = record.get("snapshots"), record.get("data"), record.get("diverged_at")
        if not isinstance(snapshots, list):
            raise TypeError("snapshots must be a list of records")
        tracker = cls(data=data)  # type: ignore[arg-type]
        for snapshot in snapshots:
            tracker._append(EntropySnapshot.from_dict(snapshot))
        if diverged_at is not None:
            tracker.mark_diverged(whole_number(diverged_at=diverged_at))
        return tracker

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw a heat map, heads (by layer) over steps; returns the axes.

        Raises
        ------
        ValueError : no update yet.
        """
        longest = max(snapshot.T for snapshot in self._kept())
        note = "training data, not private" if self.data == "training" else "held-out data"
        return draw_head_entropies(self.steps, self.head_entropy, T=longest, note=note, ax=ax)

    def _append(self, snapshot: EntropySnapshot) -> None:
        if self.snapshots:
            last = self.snapshots[-1]
            if snapshot.step <= last.step:
                raise ValueError(f"step must be larger than that of the last update, {last.step}, got {snapshot.step}")
            if snapshot.entropy.shape != last.entropy.shape:
                raise ValueError(f"entropies must be of {last.entropy.shape} layers and heads as before, got {snapshot.entropy.shape}")
        self.snapshots.append(snapshot)

    def _kept(self) -> list[EntropySnapshot]:
        if not self.snapshots:
            raise ValueError("the tracker has no entropies yet; call update(step, entropy) first")
        return self.snapshots
