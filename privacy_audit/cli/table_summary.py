"""A synthesis, and an evaluation, on one screen: at most 80 columns."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import typer

from privacy_audit.cli.output import WIDTH, print_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mechanisms.accounting.ledger import LedgerEntry
    from synth.synthesis_record import SynthesisRecord

MOST_ENTRIES = 12
AGAIN = "Every further run on the same rows spends its epsilon again."
_STEP_WIDTH = 32


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


def _print_entries(entries: Sequence[LedgerEntry]) -> None:
    """Print the dearest releases and the rest in one line."""
    shown = sorted(entries, key=lambda entry: -entry.rho)[:MOST_ENTRIES]
    typer.echo(f"\n{'release':<{_STEP_WIDTH}}  {'rho':>10}  {'noise':>9}  mechanism")
    for entry in shown:
        step = textwrap.shorten(entry.step, _STEP_WIDTH, placeholder="...")
        typer.echo(f"{step:<{_STEP_WIDTH}}  {entry.rho:>10.4g}  {entry.scale:>9.4g}  {entry.mechanism}"[:WIDTH])
    rest = len(entries) - len(shown)
    if rest:
        spent = sum(entry.rho for entry in entries) - sum(entry.rho for entry in shown)
        typer.echo(f"{f'and {rest} more':<{_STEP_WIDTH}}  {spent:>10.4g}")
