"""The command line `privacy-audit`: registers the commands and turns errors into exit codes.

Exit codes: 0 consistent with the claim, 1 claim contradicted, 2 bad input (one sentence on stderr), 3 a fault of this program.
The top of this file and of the commands' files loads typer only; each command loads its workflow when it runs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from privacy_audit.cli.account import account
from privacy_audit.cli.attention import attention
from privacy_audit.cli.demo import demo
from privacy_audit.cli.epsilon import epsilon
from privacy_audit.cli.evaluate import evaluate
from privacy_audit.cli.leakage import leakage
from privacy_audit.cli.preflight import preflight
from privacy_audit.cli.run import run
from privacy_audit.cli.stream import stream
from privacy_audit.cli.synthesize import synthesize

app = typer.Typer(
    name="privacy-audit",
    help="Tells whether a privacy claim is true: evidence about the epsilon of a training run, a table or a statistic.",
    epilog="Exit codes: 0 consistent with the claim, 1 claim contradicted, 2 bad input, 3 internal fault.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)
for command, summary in (
    (demo, "Audit a DP-SGD run on real digits, from training to page."),
    (run, "Run the audit that a TOML file describes."),
    (epsilon, "Epsilon from counts or scores of an attack."),
    (leakage, "Records that tell as much as an attack."),
    (account, "What a DP-SGD run costs, by an accountant."),
    (preflight, "Check an Opacus engine before its first step."),
    (stream, "Release a private running sum, one line a step."),
    (synthesize, "Make a private synthetic table."),
    (evaluate, "Hold a synthetic table against the real one."),
):
    app.command(short_help=summary)(command)
app.add_typer(attention, name="attention", short_help="What attention costs under private inference.")


def _show_version(asked: bool) -> None:
    if asked:
        from privacy_audit import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)] = False,
) -> None:
    """Take the options that stand before a command."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    Parameters
    ----------
    arguments : what follows the program's name; None takes it from the process.
    """
    from mechanisms.errors import PrivacyAuditError

    try:
        app(args=arguments, prog_name="privacy-audit")
    except (ValueError, TypeError, OSError, PrivacyAuditError) as error:
        typer.echo(f"Error: {_sentence(error)}", err=True)
        sys.exit(2)
    except Exception:
        import traceback

        traceback.print_exc()
        sys.exit(3)


def _sentence(error: Exception) -> str:
    """Return the error's message on one line, without an operating-system error number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__
