"""`privacy-audit attention census`: the operations of a model, counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from privacy_audit.cli.attention_model import (
    ConfigOption,
    ContextOption,
    FoldOption,
    HeadsOption,
    JsonOption,
    LayersOption,
    VariantOption,
    VocabularyOption,
    WidthOption,
    model_config,
)

if TYPE_CHECKING:
    from private_inference.cost.block_parts import Fold
    from private_inference.cost.census import AttentionCount, Census


def census(
    layers: LayersOption = None,
    heads: HeadsOption = None,
    width: WidthOption = None,
    vocabulary: VocabularyOption = None,
    variant: VariantOption = None,
    config: ConfigOption = None,
    context: ContextOption = 128,
    fold: FoldOption = "none",
    count: Annotated[str, typer.Option(help="Attention's FLOPs: published (causal half of A V) or full.")] = "published",
    json: JsonOption = False,
) -> None:
    """Operations of a model for one context; without options GPT-2 small."""
    from privacy_audit.cli.output import print_json
    from private_inference.cost.census import census as count_operations

    model = model_config(config, context, layers=layers, heads=heads, width=width, vocabulary=vocabulary, variant=variant)
    counted = count_operations(model, context, fold=cast("Fold", fold), attention_count=cast("AttentionCount", count))
    if json:
        print_json(counted.to_dict())
    else:
        _print(counted)


def _print(counted: Census) -> None:
    from privacy_audit.cli.output import print_rows
    from private_inference.cost.text import census_figures, census_table

    print_rows(*census_figures(counted))
    typer.echo("\n" + "\n".join(census_table(counted)))
