"""The ratio of two estimates, only where it means something: one profile, the kinds of softmax named.

A saving against a baseline with a wasteful softmax is partly the softmax's: SM+LN+G against SM+ScFuFFN is 1.6 x with a stock softmax in
both and 2.8 x with a reciprocal a row in both (one block, d = 128). So the sentence says which softmax each side has.
"""

from __future__ import annotations

from dataclasses import dataclass

from mechanisms.json_ready import JsonValue, json_ready
from private_inference.cost.estimate import CostEstimate


@dataclass(frozen=True, slots=True, kw_only=True)
class CostComparison:
    """How many times more the first costs than the second.

    Parameters
    ----------
    profile : of both.
    bytes_ratio : bytes of the first over bytes of the second.
    messages_ratio : the same of messages; None if unknown.
    first_score, second_score : the kinds of softmax.
    words : all of it in a sentence or two.
    """

    profile: str
    bytes_ratio: float
    messages_ratio: float | None
    first_score: str
    second_score: str
    words: str

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        names = ("profile", "bytes_ratio", "messages_ratio", "first_score", "second_score", "words")
        return {"schema_version": 1, **{name: json_ready(getattr(self, name)) for name in names}}


def compare(first: CostEstimate, second: CostEstimate) -> CostComparison:
    """Return how many times more `first` costs than `second`.

    Parameters
    ----------
    first, second : estimates of one profile, for one context length, with or without output matrix both.

    Raises
    ------
    ValueError : different profiles, context lengths, or counted parts: such a ratio says nothing about the models.

    Examples
    --------
    >>> from private_inference.config import PIGPTConfig
    >>> from private_inference.cost.estimate import estimate_cost
    >>> shape = dict(n_layer=1, n_head=4, n_embd=128, block_size=128, vocab_size=512)
    >>> small = estimate_cost(PIGPTConfig(**shape, variant="sm_scfuffn"), 128, score="softmax_rr")
    >>> round(compare(estimate_cost(PIGPTConfig(**shape), 128, score="softmax_rr"), small).bytes_ratio, 2)
    2.8
    """
    for field in ("profile", "T"):
        if getattr(first, field) != getattr(second, field):
            raise ValueError(f"both estimates must have one {field}, got {getattr(first, field)} and {getattr(second, field)}")
    counted = ["output matrix" in {row.name for row in estimate.rows} for estimate in (first, second)]
    if counted[0] != counted[1]:
        raise ValueError("both estimates must count the output matrix, or neither, got one of each; set output alike")
    ratio = first.bytes_both / second.bytes_both
    messages = None if first.messages is None or second.messages is None else first.messages / second.messages
    return CostComparison(
        profile=first.profile,
        bytes_ratio=ratio,
        messages_ratio=messages,
        first_score=first.score,
        second_score=second.score,
        words=_words(first, second, ratio, messages),
    )


def _words(first: CostEstimate, second: CostEstimate, ratio: float, messages: float | None) -> str:
    rounds = "" if messages is None else f" and {messages:.2f} x the messages"
    if first.score == second.score:
        score = f"Both have {first.score}."
    else:
        score = f"The first has {first.score}, the second {second.score}: part of the ratio is the softmax's implementation alone."
    return (
        f"{ratio:.2f} x the bytes{rounds} of the second, profile {first.profile}. {score} First: {first.program}. Second: {second.program}."
    )
