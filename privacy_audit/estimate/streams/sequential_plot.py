"""The monitor of a sequential audit, in matplotlib: the e-value on its way to the line at which the claim is rejected."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from privacy_audit.estimate.sequential import SequentialAuditor

_INK, _RED = "#1c4b87", "#a01c17"


def draw_monitor(auditor: SequentialAuditor, ax: Axes | None = None) -> Axes:
    """Draw log10 of the e-value over trials.

    Parameters
    ----------
    auditor : the audit so far; at least one trial.
    ax : where to draw; a new figure if None.

    Raises
    ------
    ValueError : no trial yet.
    """
    if auditor.n == 0:
        raise ValueError("this auditor has seen no trial, so there is nothing to draw; call update first")
    if ax is None:
        from matplotlib import pyplot as plt

        ax = plt.subplots(figsize=(6, 3.5), layout="constrained")[1]
    n, log_e, _ = auditor.path()
    ax.plot(n, log_e / math.log(10), color=_INK)
    ax.axhline(-math.log10(1 - auditor.level), color=_RED, linestyle="--", linewidth=1.2, label="claim rejected above")
    if auditor.rejected_at is not None:
        ax.axvline(auditor.rejected_at, color=_RED, linewidth=0.8, alpha=0.5)
    ax.set(xlabel="trials", ylabel="log10 of the e-value", xlim=(0, auditor.n))
    ax.set_title(
        f"claim: epsilon at most {auditor.epsilon:g}; lower bound {auditor.lower_bound:.2f} at level {auditor.level:g}", fontsize="medium"
    )
    ax.legend(frameon=False, fontsize="small")
    return ax
