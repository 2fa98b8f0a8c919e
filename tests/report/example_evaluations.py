"""Evaluations of made-up tables for the tests of the page: every kind of column, one column, a hundred, hostile names."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from mechanisms.accounting.ledger import LedgerEntry
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from privacy_audit.report.synthetic_evaluation import evaluate_table
from privacy_audit.report.synthetic_record import TableEvaluation
from synth.decode import draw_positions
from synth.encoded import EncodedTable
from synth.schema import Categorical, Continuous, Datetime, Ordinal, Schema
from synth.synthesis_record import SynthesisRecord
from tests.synth.tables import EVERY_KIND

HOSTILE = "<script>alert('x')</script>"
SMALL = Schema(
    (
        Categorical("smokes", ("no", "yes")),
        Ordinal("age", 0, 99, nullable=True),
        Continuous("dose", 0.0, 7.5, bins=9, nullable=True),
        Categorical("town", tuple(f"town {k}" for k in range(23)), other="elsewhere"),
        Datetime("admitted", "2023-01-01", "2024-12-31", step=7),
    )
)


def coded(schema: Schema, n: int, seed: int, *, tilt: float = 2.0) -> EncodedTable:
    """Codes that lean towards small ones; with positions."""
    rng = np.random.default_rng(seed)
    codes = np.column_stack([np.floor(size * rng.random(n) ** tilt) for size in schema.sizes]).astype(np.int32)
    return EncodedTable(codes, draw_positions(schema, codes, rng))


def synthesis(columns: tuple[str, ...], n_entries: int = 20) -> SynthesisRecord:
    """A record with a ledger of many releases."""
    entries = [
        LedgerEntry(f"marginal {columns[k % len(columns)]}", "discrete gaussian", 1.41, 50 + k, 1e-4 / (k + 1)) for k in range(n_entries)
    ]
    return SynthesisRecord(
        guarantee=PrivacyGuarantee(1.0, 1e-9, Neighboring.REPLACE, mechanism="Private-GSD, one_shot", assumptions=("noise is secure",)),
        rho=0.01,
        ledger=tuple(entries),
        mode="one_shot",
        noise_ratio=0.03,
        n_rows=400,
        n_synthetic=300,
        fitness=0.02,
        noise_energy=0.03,
        stopped="converged",
        columns=columns,
        workload="all marginals of 2 columns",
        versions={"numpy": "2.0"},
    )


@cache
def evaluation() -> TableEvaluation:
    """A whole evaluation."""
    return evaluate_table(
        coded(SMALL, 400, 1),
        coded(SMALL, 300, 2, tilt=1.7),
        SMALL,
        holdout=coded(SMALL, 200, 3),
        k=3,
        target="smokes",
        model="logistic",
        synthesis=synthesis(SMALL.names),
        settings={"real": "real.csv", "holdout": None},
        title="synthetic.csv against real.csv",
    )


@cache
def evaluations() -> dict[str, TableEvaluation]:
    """Evaluations at the edges."""
    alone = Schema((Ordinal("age", 0, 9),))
    hostile = Schema(
        (
            Categorical(HOSTILE, ("{{ 7*7 }}", "<img src=x>", "a" * 90)),
            Ordinal("n" * 80, -(10**9), 10**9, step=10**7),
            Categorical("ein sehr langer Name mit vielen Wörtern darin", ("漢字" * 12, "b"), nullable=True),
        )
    )
    wide = Schema(tuple(Categorical(f"column number {k}", (0, 1, 2)) for k in range(100)))
    wider = Schema(tuple(Categorical(f"c{k}", (0, 1)) for k in range(130)))
    return {
        "whole": evaluation(),
        "split": evaluate_table(coded(SMALL, 200, 1), coded(SMALL, 100, 2), SMALL, target="smokes", model="logistic", seed=3),
        "one column": evaluate_table(coded(alone, 30, 1), coded(alone, 9, 2), alone, k=1),
        "equal": evaluate_table(coded(SMALL, 50, 1), coded(SMALL, 50, 1), SMALL),
        "every kind": evaluate_table(coded(EVERY_KIND, 60, 1), coded(EVERY_KIND, 70, 2), EVERY_KIND),
        "hostile": replace(
            evaluate_table(
                coded(hostile, 60, 1),
                coded(hostile, 70, 2),
                hostile,
                target=HOSTILE,
                model="logistic",
                title=HOSTILE,
                settings={HOSTILE: HOSTILE},
            ),
            synthesis=replace(synthesis(hostile.names, 3), mode=HOSTILE, workload=HOSTILE, stopped=HOSTILE, noise_energy=0.0),
        ),
        "a hundred columns": evaluate_table(coded(wide, 200, 1), coded(wide, 200, 2, tilt=1.0), wide),
        "more columns than are drawn": evaluate_table(coded(wider, 60, 1), coded(wider, 50, 2), wider),
    }
