"""A synthesis, and an evaluation, on one screen: at most 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from privacy_audit.cli.output import WIDTH, print_rows
from privacy_audit.report.svg_axes import shortened
from privacy_audit.report.synthetic_page import error_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mechanisms.accounting.ledger import LedgerEntry
    from privacy_audit.report.synthetic_record import TableEvaluation
    from synth.synthesis_record import SynthesisRecord
    from synth.train_on_synthetic import TrainOnSynthetic

MOST_ENTRIES = 12
AGAIN = "Every further run on the same rows spends its epsilon again."
_STEP_WIDTH = 38


def print_synthesis(record: SynthesisRecord, out: Path, ledger: Path | None) -> None:
    """Print what was spent and how the fit went; all of it may be published."""
    claim = record.guarantee
    rule = "" if record.noise_ratio is None else f", chosen by its noise ratio of {record.noise_ratio:.3g}"
    real = f"{record.n_rows:,.0f} real ({'public' if claim.neighboring.value == 'replace' else 'a noisy estimate'})"
    left = "" if record.noise_energy == 0 else f", {record.fitness / record.noise_energy:.3g} of what noise alone leaves"
    print_rows(
        ("privacy", f"epsilon {claim.epsilon:g} at delta {claim.delta:.3g}, {claim.neighboring.value} neighbors, one {claim.privacy_unit}"),
        ("assumes", "; ".join(claim.assumptions) or "nothing further"),
        ("spent", f"rho {record.spent:.6g} of {record.rho:.6g} (zCDP) in {len(record.ledger)} releases"),
        ("mode", f"{record.mode}{rule}"),
        ("workload", record.workload),
        ("rows", f"{real}, {record.n_synthetic:,} synthetic; {len(record.columns)} columns"),
        ("fit", f"squared error {record.fitness:.3g}{left}; {record.stopped.replace('_', ' ')}"),
        ("table", str(out)),
        *((("ledger", str(ledger)),) if ledger is not None else ()),
    )
    _print_entries(record.ledger)
    typer.echo(f"\n{AGAIN}")


def print_evaluation(evaluation: TableEvaluation, page: Path, record: Path) -> None:
    """Print errors, what they are to be held against, and the models' scores; not private."""
    typer.echo("NOT PRIVATE: computed from the real table without noise; not to be published\n")
    print_rows(
        ("rows", f"{evaluation.n_real:,} real, {evaluation.n_synthetic:,} synthetic; {len(evaluation.columns)} columns"),
        ("worst", "; ".join(f"{' x '.join(group.columns)} {group.tv:.3f}" for group in evaluation.worst(3))),
    )
    typer.echo(f"\n{'total variation':<34}  {'average':>8}  {'largest':>8}  {'largest cell':>12}")
    for row in error_rows(evaluation):
        cells = "  ".join(f"{_figure(value):>{width}}" for value, width in ((row.avg_tv, 8), (row.max_tv, 8), (row.max_cell, 12)))
        typer.echo(f"{row.name:<34}  {cells}".rstrip())
    if evaluation.training is not None:
        _print_scores(evaluation.training)
    if evaluation.synthesis is not None:
        claim = evaluation.synthesis.guarantee
        typer.echo(f"\nmade with epsilon {claim.epsilon:g} at delta {claim.delta:.3g}, {claim.neighboring.value} neighbors")
    typer.echo(f"\n  page    {page}\n  record  {record}")


def _print_scores(training: TrainOnSynthetic) -> None:
    rows = "holdout" if training.tested_on == "holdout" else "real rows split off"
    title = f"guessing {shortened(training.target, 20)}"
    typer.echo(f"\n{title:<34}  {'AUC':>8}  {'F1':>8}  {'accuracy':>12}")
    for scores in training.scores:
        typer.echo(f"from {scores.trained_on:<29}  {scores.auc:>8.3f}  {scores.f1:>8.3f}  {scores.accuracy:>12.3f}")
    typer.echo(f"{training.model}, tested on {training.n_test:,} rows ({rows})")


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _print_entries(entries: Sequence[LedgerEntry]) -> None:
    """Print the dearest releases and the rest in one line."""
    shown = sorted(entries, key=lambda entry: -entry.rho)[:MOST_ENTRIES]
    typer.echo(f"\n{'release':<{_STEP_WIDTH}}  {'rho':>9}  {'noise':>7}  mechanism")
    for entry in shown:
        typer.echo(
            f"{shortened(entry.step, _STEP_WIDTH):<{_STEP_WIDTH}}  {entry.rho:>9.3g}  {entry.scale:>7.4g}  {entry.mechanism}"[:WIDTH]
        )
    rest = len(entries) - len(shown)
    if rest:
        spent = sum(entry.rho for entry in entries) - sum(entry.rho for entry in shown)
        typer.echo(f"{f'and {rest} more':<{_STEP_WIDTH}}  {spent:>9.3g}")
