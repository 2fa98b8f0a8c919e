"""`privacy-audit attention`: language models for private inference; registers the commands of this group."""

from __future__ import annotations

import typer

from privacy_audit.cli.attention_census import census
from privacy_audit.cli.attention_cost import cost

attention = typer.Typer(
    help="Attention that is cheap under secure computation: what a model computes and what that costs.",
    rich_markup_mode=None,
    no_args_is_help=True,
)
for command, summary in (
    (census, "What a model computes: matrices, elements, FLOPs."),
    (cost, "Bytes, messages and latency of one inference."),
):
    attention.command(short_help=summary)(command)
