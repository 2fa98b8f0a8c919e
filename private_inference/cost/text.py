"""Counts and estimates as text: figures with their names, and a table of operations, at most 80 columns wide."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from private_inference.cost.census import Census
    from private_inference.cost.estimate import CostEstimate

Figures = tuple[tuple[str, str], ...]


def census_figures(counted: Census) -> Figures:
    """Return names and values of a census."""
    flops = f"FFN {counted.ffn_flops / 1e9:.4f}e9, attention {counted.attention_flops / 1e9:.4f}e9 ({counted.attention_count} count)"
    return ("program", counted.program), ("FLOPs", flops)


def census_table(counted: Census) -> list[str]:
    """Return the lines of a census."""
    lines = [f"{'operation':<20}{'kind':<20}{'matrices':>9}  {'of shape':<17}{'elements':>12}"]
    for row in counted.rows:
        shape = " x ".join(map(str, row.shape))
        lines.append(f"{row.name:<20}{row.kind:<20}{row.matrices:>9}  {shape:<17}{row.elements:>12,}")
    return lines


def cost_figures(estimate: CostEstimate) -> Figures:
    """Return names and values of an estimate."""
    one, latency = estimate.bytes_sent, estimate.latency
    shares = "" if one is None else f"; {one / 1e9:.4g} GB sent by one"
    terms = {"rounds": latency.rounds, "transfer": latency.transfer, "compute": latency.compute}
    figures = [
        ("program", estimate.program),
        ("profile", estimate.profile_words),
        ("bytes", f"{estimate.bytes_both / 1e9:.4g} GB by both parties{shares}"),
        ("messages", "unknown" if estimate.messages is None else f"{estimate.messages:,} sent by one party"),
        ("latency", ", ".join(f"{name} {_seconds(term)}" for name, term in terms.items()) + f" ({latency.network.words})"),
    ]
    if estimate.published_seconds is not None:
        figures.append(("as published", f"{estimate.published_seconds / 60:.2f} minutes on the profile's own machines"))
    return tuple(figures)


def cost_table(estimate: CostEstimate) -> list[str]:
    """Return the lines of an estimate's operations."""
    lines = [f"{'operation':<20}{'kind':<20}{'GB, both':>10}{'share':>8}{'messages':>12}"]
    for row in estimate.rows:
        if row.included_in is not None:
            lines.append(f"{row.name:<20}{row.kind:<20}  in the price of {row.included_in}")
            continue
        messages = "unknown" if row.messages is None else f"{row.messages:,}"
        share = row.bytes_both / estimate.bytes_both
        lines.append(f"{row.name:<20}{row.kind:<20}{row.bytes_both / 1e9:>10.4g}{share:>8.1%}{messages:>12}")
    return lines


def as_text(figures: Figures, table: list[str]) -> str:
    """Return figures, an empty line, and a table."""
    return "\n".join([*(f"{name}: {value}" for name, value in figures), "", *table])


def _seconds(term: float | None) -> str:
    return "unknown" if term is None else f"{term:.3g} s"
