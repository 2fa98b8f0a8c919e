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
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the shadow models that are finished.")] = False,
    executor: Annotated[
        str | None, typer.Option(help="Where shadow models are trained: processes:N, dask://HOST:PORT, ray, ...", metavar="NAME")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the record and nothing else on stdout.")] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show why and where a training function failed.")] = False,
) -> None:
    """Run the audit that a TOML file describes; exits with 1 if the claim is contradicted."""
    from privacy_audit.cli.progress import progress_bar
    from privacy_audit.cli.summary import summary_lines, write_report
    from privacy_audit.config import read_config

    settings = read_config(config)
    with progress_bar() as progress:
        report = _audit(settings, config, progress, out=out, resume=resume, executor=executor, traceback=traceback)
    written = write_report(report, out)
    if json:
        from json import dumps

        typer.echo(dumps(report.to_dict(), allow_nan=False))
    else:
        typer.echo("\n".join(summary_lines(report)))
        typer.echo(f"\n  page    {written.page}\n  record  {written.record}")
    raise typer.Exit(1 if report.contradicted else 0)


def _audit(
    settings: AuditConfig, path: Path, progress: Progress, *, out: Path, resume: bool, executor: str | None, traceback: bool
) -> AuditReport:
    from dataclasses import replace

    from privacy_audit.audits.from_file import audit_distribution_file, audit_shadow_file, audit_training_file
    from privacy_audit.config import DistributionTable, ShadowTable

    if isinstance(settings.audit, ShadowTable):
        report = audit_shadow_file(settings, path.parent, out / "shadow-models", resume=resume, executor=executor, progress=progress)
    elif resume or executor:
        raise ValueError(f'--resume and --executor are for kind = "shadow"; kind = "{settings.audit.kind}" trains here and keeps no models')
    elif isinstance(settings.audit, DistributionTable):
        report = audit_distribution_file(settings, path.parent, progress=progress, on_error=_show if traceback else None)
    else:
        report = audit_training_file(settings, path.parent, progress=progress, on_error=_show if traceback else None)
    return replace(report, settings={**report.settings, **{f"nist.{name}": text for name, text in settings.nist.items()}})


def _show(error: Exception) -> None:
    from traceback import print_exception

    print_exception(error)
