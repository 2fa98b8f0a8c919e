"""`privacy-audit attention`: language models for private inference; registers the commands of this group."""

from __future__ import annotations

import typer

from privacy_audit.cli.attention_census import census
from privacy_audit.cli.attention_cost import cost
from privacy_audit.cli.attention_train import train

attention = typer.Typer(
    help="Attention that is cheap under secure computation: what a model computes, what that costs, how it trains.",
    rich_markup_mode=None,
    no_args_is_help=True,
)
for command, summary in (
    (census, "What a model computes: matrices, elements, FLOPs."),
    (cost, "Bytes, messages and latency of one inference."),
    (train, "Train a model, guided by the entropy of its heads."),
):
    attention.command(short_help=summary)(command)
