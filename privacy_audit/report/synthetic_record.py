"""TableEvaluation: a synthetic table held against the real one. NOT private: for those who may see the real table.

It says how far answers are, per marginal and per column, beside two tables that can be thought of (`synth.yardsticks`) and, where there is
a holdout, beside rows of the same population; whether models learn the same from it; and what was spent, where the ledger is at hand.
Only the ledger may be published.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from mechanisms.json_ready import JsonValue, json_ready, json_record
from mechanisms.whole_file import write_whole
from synth.column_shares import ColumnShares
from synth.evaluate import NOT_PRIVATE, GroupError, WorkloadError
from synth.synthesis_record import SynthesisRecord
from synth.train_on_synthetic import TrainOnSynthetic
from synth.yardsticks import Yardstick

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TableEvaluation:
    """One synthetic table against the real one; not private.

    Parameters
    ----------
    n_real, n_synthetic : rows.
    columns : shares of every column, in the order of the schema.
    errors : k -> error of the marginals of k columns; 1 is always there, 2 wherever there are two columns.
    yardsticks : for the pairs; empty where there is one column only.
    holdout : error of the holdout's pairs (or single columns) against the real table; None without a holdout.
    n_holdout : its rows.
    training : train on synthetic, test on real; None where no target was named.
    synthesis : the record of the synthesis; None where it isn't at hand.
    settings, versions, seeds : what is needed to run the evaluation again.
    title : of the page.

    Raises
    ------
    ValueError : errors without those of single columns.
    """

    n_real: int
    n_synthetic: int
    columns: tuple[ColumnShares, ...]
    errors: Mapping[int, WorkloadError]
    yardsticks: tuple[Yardstick, ...] = ()
    holdout: WorkloadError | None = None
    n_holdout: int = 0
    training: TrainOnSynthetic | None = None
    synthesis: SynthesisRecord | None = None
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[str, str] = field(default_factory=dict)
    title: str = "A synthetic table against the real one"

    def __post_init__(self) -> None:
        if 1 not in self.errors or (2 not in self.errors and len(self.columns) > 1):
            raise ValueError("errors must hold those of single columns, and of pairs wherever there are two columns")
        for name in ("errors", "settings", "versions", "seeds"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def pairs(self) -> WorkloadError:
        """Return the error of the pairs, or of the only column."""
        return self.errors[2] if 2 in self.errors else self.errors[1]

    def worst(self, at_most: int) -> tuple[GroupError, ...]:
        """Return the marginals of `pairs` with the largest total variation, the worst first."""
        return tuple(sorted(self.pairs.groups, key=lambda group: -group.tv)[:at_most])

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record(
            {
                "schema_version": SCHEMA_VERSION,
                "kind": "evaluation",
                "private": False,
                "note": NOT_PRIVATE,
                "title": self.title,
                "n_real": self.n_real,
                "n_synthetic": self.n_synthetic,
                "errors": {str(k): error for k, error in self.errors.items()},
                "yardsticks": self.yardsticks,
                "holdout": self.holdout,
                "n_holdout": self.n_holdout,
                "columns": self.columns,
                "training": self.training,
                "synthesis": self.synthesis,
                **{name: json_ready(dict(getattr(self, name))) for name in ("settings", "versions", "seeds")},
            }
        )

    def to_json(self, path: str | os.PathLike[str]) -> Path:
        """Write the record as JSON; the file appears whole or not at all."""
        return write_whole(path, json.dumps(self.to_dict(), indent=2, allow_nan=False).encode() + b"\n")

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write one self-contained page; the file appears whole or not at all."""
        from privacy_audit.report.synthetic_page import render_evaluation

        return write_whole(path, render_evaluation(self).encode())

    def _repr_html_(self) -> str:
        return self.pairs._repr_html_()

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the heat map of the pairs; returns the axes."""
        return self.pairs.plot(ax)
