"""`privacy-audit preflight MODULE:FUNCTION`: static checks of a training script's engine, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def preflight(
    engine: Annotated[
        str,
        typer.Argument(help="Function that returns (module, optimizer, loader) of make_private.", metavar="MODULE:FUNCTION"),
    ],
    steps: Annotated[int | None, typer.Option(help="Planned optimizer steps; one pass over the loader if not given.")] = None,
    fixed_normalizer: Annotated[
        bool, typer.Option("--fixed-normalizer", help="The expected batch size was set by hand and does not follow the data.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the findings and nothing else on stdout.")] = False,
) -> None:
    """Check an Opacus engine before its first step; exits with 1 if the claim can't hold as accounted."""
    from attacks.canaries.preflight import preflight as check
    from privacy_audit.user_code import load_function

    made = load_function(engine, beside=Path.cwd())()
    if not isinstance(made, tuple) or len(made) != 3:
        raise ValueError(f"'{engine}' must return (module, optimizer, loader) as make_private does, got {type(made).__name__}")
    module, optimizer, loader = made
    findings = check(optimizer, loader, module, steps=steps, fixed_normalizer=fixed_normalizer)
    if json:
        from json import dumps

        typer.echo(dumps([finding.to_dict() for finding in findings]))
    else:
        for finding in findings:
            typer.echo(f"{finding.severity}: {finding.name}: {finding.message}")
        typer.echo("nothing found" if not findings else f"{len(findings)} found")
    raise typer.Exit(1 if any(finding.severity == "error" for finding in findings) else 0)
