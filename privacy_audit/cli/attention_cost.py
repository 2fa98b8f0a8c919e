"""`privacy-audit attention cost`: what one private inference costs by a profile of prices."""

from __future__ import annotations

from dataclasses import replace
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
    from private_inference.cost.block_parts import Fold, Scaling
    from private_inference.cost.comparison import CostComparison
    from private_inference.cost.estimate import CostEstimate
    from private_inference.cost.execution import PackingLayout, Projections, SecureScore
    from private_inference.cost.network import Network


def cost(
    layers: LayersOption = None,
    heads: HeadsOption = None,
    width: WidthOption = None,
    vocabulary: VocabularyOption = None,
    variant: VariantOption = None,
    config: ConfigOption = None,
    context: ContextOption = 128,
    fold: FoldOption = "none",
    score: Annotated[str | None, typer.Option(help="softmax, softmax_rr, softmax_shift, quad2, ...; the config's if not given.")] = None,
    packing: Annotated[int, typer.Option(help="Causal packing: number of pieces of queries, a divisor of T.")] = 1,
    packing_layout: Annotated[str, typer.Option(help="auto, or score the pieces one_by_one or at_once (fewer messages).")] = "auto",
    projections: Annotated[str, typer.Option(help="separate or joined products for queries, keys, values.")] = "separate",
    scaling: Annotated[str | None, typer.Option(help="1 / sqrt(d_k) at the logits or in the weights; weights if folded.")] = None,
    profile: Annotated[str, typer.Option(help="semi2k-fm64 or cheetah-published.")] = "semi2k-fm64",
    network: Annotated[str, typer.Option(help="lan, wan, or MBIT,MS: bandwidth and round trip.")] = "lan",
    output: Annotated[bool, typer.Option("--output", help="Count final norm and output matrix too.")] = False,
    against: Annotated[str | None, typer.Option(help="Variant to compare with, neither folded nor packed.", metavar="VARIANT")] = None,
    json: JsonOption = False,
) -> None:
    """Bytes, messages and latency of one private inference; without options GPT-2 small."""
    from privacy_audit.cli.output import print_json
    from private_inference.cost.comparison import compare
    from private_inference.cost.estimate import estimate_cost

    model = model_config(config, context, layers=layers, heads=heads, width=width, vocabulary=vocabulary, variant=variant)
    link = _network(network)
    estimate = estimate_cost(
        model,
        context,
        score=cast("SecureScore | None", score),
        packing=packing,
        packing_layout=cast("PackingLayout", packing_layout),
        projections=cast("Projections", projections),
        scaling=cast("Scaling | None", scaling),
        fold=cast("Fold", fold),
        output=output,
        profile=profile,
        network=link,
    )
    comparisons = []
    if against is not None:  # with the baseline's own softmax, then with the same: a ratio of two kinds is partly the softmax's
        other = replace(model, variant=against)
        for kind in dict.fromkeys((model.score, estimate.score)):
            comparisons.append(compare(estimate_cost(other, context, profile=profile, score=kind, network=link, output=output), estimate))
    if json:
        print_json({**estimate.to_dict(), "against": [comparison.to_dict() for comparison in comparisons]})
    else:
        _print(estimate, comparisons)


def _network(text: str) -> str | Network:
    if "," not in text:
        return text
    from private_inference.cost.network import Network

    try:
        megabits, milliseconds = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--network must be lan, wan, or two numbers like 100,80, got {text!r}") from None
    return Network("given", round_trip=milliseconds / 1e3, bandwidth=1e6 * megabits)


def _print(estimate: CostEstimate, comparisons: list[CostComparison]) -> None:
    from privacy_audit.cli.output import print_rows, print_sentences
    from private_inference.cost.text import cost_figures, cost_table

    print_rows(*cost_figures(estimate))
    typer.echo("\n" + "\n".join(cost_table(estimate)))
    if comparisons:
        print_sentences("Compared:", [comparison.words for comparison in comparisons])
    print_sentences("To know:", estimate.notes)
