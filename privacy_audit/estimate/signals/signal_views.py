"""The four views of one run's signals: what an observer looked at (membership_inference.md 4.7)."""

from __future__ import annotations

from typing import Literal

View = Literal["V0", "V1", "V2", "V3"]

VIEWS: dict[View, str] = {
    "V0": "final weights only",
    "V1": "all noisy updates",
    "V2": "all noisy updates and the batch log",
    "V3": "all noisy updates, the batch log and the sums before the noise",
}
