"""What one private inference costs: bytes, messages, and the time they take, from a program and a profile of prices.

    latency = rounds * round trip + bytes * 8 / bandwidth + compute

The three terms stay apart; what a profile doesn't know is None, never 0. Rounds are messages sent by one party, each counted as one
round trip: an engine that waits for every message. A party's link is full duplex: where a profile counts one party's bytes, both send
them at the same time; where it counts the total, all of it goes over one link, which is at most twice too slow.

The kind of softmax stands in every estimate: the ratio of two estimates changes by the softmax's implementation alone.

References
----------
Jha, Reagen, Entropy-Guided Attention for Private LLMs, PPAI at AAAI 2025. Ma et al., SecretFlow-SPU, USENIX ATC 2023.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mechanisms.json_ready import JsonValue, json_ready
from mechanisms.validation import one_of
from private_inference.cost.block_parts import Fold, Scaling
from private_inference.cost.execution import PackingLayout, Projections, SecureScore
from private_inference.cost.network import NETWORKS, Latency, Network
from private_inference.cost.operations import ModelProgram, Op, merged_by_name
from private_inference.cost.profile import CostProfile, Linear, price_of
from private_inference.cost.profile_file import load_profile
from private_inference.cost.program import program_of
from private_inference.cost.text import as_text, cost_figures, cost_table

if TYPE_CHECKING:
    from private_inference.cost.program import ModelOrConfig

SCHEMA_VERSION = 1
_BOTH_OF = {"one_party": 2, "total": 1}


@dataclass(frozen=True, slots=True)
class CostRow:
    """All operations of one name in the whole model.

    Parameters
    ----------
    name, kind : what it is for, and its kind.
    elements : results.
    bytes_both : sent by both parties.
    messages : sent by one party; None if the profile doesn't know.
    included_in : where the price stands if this row has none of its own.
    """

    name: str
    kind: str
    elements: int
    bytes_both: int
    messages: int | None
    included_in: str | None = None

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        names = ("name", "kind", "elements", "bytes_both", "messages", "included_in")
        return {name: json_ready(getattr(self, name)) for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class CostEstimate:
    """What one context of T tokens costs.

    Parameters
    ----------
    profile, profile_words : its name, and what was measured.
    program : the program in a phrase.
    score : the kind of softmax, or what stands in its place.
    T : context length.
    rows : cost of each part; their sums are the totals.
    bytes_both : sent by both parties.
    bytes_sent : sent by one; None if the profile counts the total only.
    messages : sent by one party; None if unknown.
    latency : the three terms, for a network.
    published_seconds : end-to-end time on the profile's own machines and network; None if it has none.
    notes : what is left out, and what a reader must know.
    """

    profile: str
    profile_words: str
    program: str
    score: SecureScore
    T: int
    rows: tuple[CostRow, ...]
    bytes_both: int
    bytes_sent: int | None
    messages: int | None
    latency: Latency
    published_seconds: float | None
    notes: tuple[str, ...]

    @property
    def words(self) -> str:
        """Return the estimate in one sentence."""
        rounds = "messages unknown" if self.messages is None else f"{self.messages:,} messages"
        return f"{self.program}: {self.bytes_both / 1e9:.3f} GB by both parties, {rounds}, profile {self.profile_words}"

    def __str__(self) -> str:
        return as_text(cost_figures(self), cost_table(self))

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        names = (
            "profile",
            "profile_words",
            "program",
            "score",
            "T",
            "bytes_both",
            "bytes_sent",
            "messages",
            "published_seconds",
            "notes",
        )
        values = {name: json_ready(getattr(self, name)) for name in names}
        return {
            "schema_version": SCHEMA_VERSION,
            **values,
            "latency": self.latency.to_dict(),
            "rows": [row.to_dict() for row in self.rows],
        }


def estimate_cost(
    model_or_config: ModelOrConfig,
    T: int,
    *,
    score: SecureScore | None = None,
    packing: int = 1,
    packing_layout: PackingLayout | Literal["auto"] = "auto",
    projections: Projections = "separate",
    scaling: Scaling | None = None,
    fold: Fold = "none",
    output: bool = False,
    profile: str = "semi2k-fm64",
    network: str | Network = "lan",
) -> CostEstimate:
    """Estimate the cost of one private inference over a context of T tokens.

    Parameters
    ----------
    model_or_config : a config, a model or a folded model.
    T : context length, at most block_size.
    score, packing, packing_layout, projections, scaling, fold : the program, see `execution` and `inference_program`.
    output : whether the final norm and the output matrix are counted; the embedding never is, except by "cheetah-published", whose price of
        the output matrix holds it.
    profile : "semi2k-fm64" or "cheetah-published".
    network : "lan", "wan" or a `Network`.

    Raises
    ------
    ValueError : a program that the profile doesn't cover, or arguments that `program_of` refuses.

    Examples
    --------
    >>> from private_inference.config import PIGPTConfig
    >>> config = PIGPTConfig(n_layer=12, n_head=12, n_embd=768, block_size=128, vocab_size=50257, variant="sm_scfuffn")
    >>> cost = estimate_cost(config, 128, fold="full", score="softmax_rr", packing=4)
    >>> round(cost.bytes_both / 1e9, 2), cost.messages, cost.latency.compute
    (1.31, 3732, None)
    """
    prices = load_profile(profile)
    program = program_of(
        model_or_config,
        T,
        score=score,
        packing=packing,
        packing_layout=packing_layout,
        projections=projections,
        scaling=scaling,
        fold=fold,
    )
    prices.require(program)
    return _estimate(program, prices, _network(network), output=output)


def _estimate(program: ModelProgram, prices: CostProfile, network: Network, *, output: bool) -> CostEstimate:
    ops = (*program.ops, *program.output) if output else program.ops
    rows = tuple(_row(name, group, prices) for name, group in merged_by_name(ops).items())
    both = sum(row.bytes_both for row in rows)
    one = None if prices.counts == "total" else both // 2
    messages = _total([row.messages for row in rows])
    return CostEstimate(
        profile=prices.name,
        profile_words=prices.words,
        program=program.words,
        score=program.execution.score,
        T=program.T,
        rows=rows,
        bytes_both=both,
        bytes_sent=one,
        messages=messages,
        latency=_latency(network, both if one is None else one, messages),
        published_seconds=_published_seconds(ops, prices),
        notes=_notes(program, prices, output=output),
    )


def _row(name: str, group: list[Op], prices: CostProfile) -> CostRow:
    price = prices.prices[group[0].kind]
    both = _BOTH_OF[prices.counts] * _sum(group, price.bytes)
    messages = None if price.messages is None else round(_sum(group, price.messages))
    return CostRow(name, group[0].kind, sum(op.elements for op in group), round(both), messages, price.included_in)


def _sum(ops: Iterable[Op], price: Linear) -> float:
    return sum(price_of(op, price) for op in ops)


def _total(messages: list[int | None]) -> int | None:
    known = [number for number in messages if number is not None]
    return sum(known) if len(known) == len(messages) else None


def _latency(network: Network, n_bytes: int, messages: int | None) -> Latency:
    rounds = None if messages is None else messages * network.round_trip
    return Latency(network, rounds=rounds, transfer=8 * n_bytes / network.bandwidth, compute=None)


def _network(network: str | Network) -> Network:
    return network if isinstance(network, Network) else NETWORKS[one_of(tuple(NETWORKS), network=network)]


def _published_seconds(ops: Iterable[Op], prices: CostProfile) -> float | None:
    if prices.seconds_accuracy is None:
        return None
    return sum(price_of(op, prices.prices[op.kind].seconds or {}) for op in ops)


def _notes(program: ModelProgram, prices: CostProfile, *, output: bool) -> tuple[str, ...]:
    notes = [f"phase: {prices.phase}; left out: {prices.left_out}", *prices.notes]
    notes.append("compute time is not in the profile: latency is at least the sum of the known terms")
    if prices.counts == "total":
        notes.append("transfer takes all traffic over one link; with both directions at once it is down to half")
    if not output:
        notes.append("final norm and output matrix are not counted")
    if program.execution.score == "softmax_shift":
        notes.append("softmax_shift is right only while logits stay within a calibrated shift: see calibrate_public_shift")
    return tuple(notes)
