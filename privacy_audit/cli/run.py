"""`privacy-audit run AUDIT.toml`: runs the audit that a TOML file describes and writes report.html and report.json."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from privacy_audit.cli.progress import Progress
    from privacy_audit.config import AuditConfig
    from privacy_audit.report.record import AuditReport


def run(
    config: Annotated[Path, typer.Argument(help="Audit file, TOML.", metavar="AUDIT.toml")],
    out: Annotated[Path, typer.Option(help="Folder for report.html and report.json.")] = Path("audit-report"),
    json: Annotated[bool, typer.Option("--json", help="Print the record and nothing else on stdout.")] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show why and where a training function failed.")] = False,
) -> None:
    """Run the audit that a TOML file describes; exits with 1 if the claim is contradicted."""
    from privacy_audit.cli.progress import progress_bar
    from privacy_audit.cli.summary import summary_lines, write_report
    from privacy_audit.config import read_config

    settings = read_config(config)
    with progress_bar() as progress:
        report = _audit(settings, config, progress, traceback)
    written = write_report(report, out)
    if json:
        from json import dumps

        typer.echo(dumps(report.to_dict(), allow_nan=False))
    else:
        typer.echo("\n".join(summary_lines(report)))
        typer.echo(f"\n  page    {written.page}\n  record  {written.record}")
    raise typer.Exit(1 if report.contradicted else 0)


def _audit(settings: AuditConfig, path: Path, progress: Progress, traceback: bool) -> AuditReport:
    from dataclasses import replace
    from traceback import print_exception

    from mechanisms.errors import PrivacyAuditError
    from privacy_audit.audits.training import audit_training
    from privacy_audit.config import load_function

    train = load_function(settings.audit.train, beside=path.parent)
    inside = False

    def training(probe: object) -> object:
        nonlocal inside
        inside = True
        result = train(probe)
        inside = False
        return result

    try:
        report = audit_training(
            training,
            delta=settings.audit.delta,
            n_canaries=settings.audit.n_canaries,
            claim=settings.guarantee(),
            level=settings.audit.level,
            rng=settings.audit.seed,
            progress=progress,
            title=settings.audit.title,
        )
    except Exception as error:
        if not inside or isinstance(error, PrivacyAuditError):
            raise
        if traceback:
            print_exception(error)
        raise PrivacyAuditError(
            f"the training function '{settings.audit.train}' failed with {type(error).__name__}; no report was written "
            "(--traceback shows why and where)"
        ) from error
    return replace(report, settings={**report.settings, **{f"nist.{name}": text for name, text in settings.nist.items()}})
