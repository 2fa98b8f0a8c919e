"""Prices of operations under one engine and protocol.

A price is a sum over features of an operation, for bytes, messages and seconds alike:

    inputs m k + k n, elements, rows, matrices, calls (1 an operation), halvings of a row

so that a reciprocal a row, a maximum by comparing halves, and a fixed set-up all have their place. A profile says with what it was
measured, whose bytes it counts, which phase is left out, how well it reproduces what it was made from, and which models it covers;
outside of that it refuses. Figures of two profiles are never put into one ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from private_inference.cost.operations import ModelProgram, Op

Linear = Mapping[str, float]

FEATURES: Mapping[str, Callable[[Op], int]] = {
    "inputs": lambda op: op.inputs,
    "elements": lambda op: op.elements,
    "rows": lambda op: op.rows,
    "matrices": lambda op: op.matrices,
    "calls": lambda _: 1,
    "halvings": lambda op: op.halvings,
}


@dataclass(frozen=True, slots=True)
class Price:
    """What an operation of one kind costs; None where the profile doesn't know.

    Parameters
    ----------
    bytes, messages, seconds : coefficients of features.
    included_in : the operation whose price holds this one's too; then all are empty.
    """

    bytes: Linear
    messages: Linear | None = None
    seconds: Linear | None = None
    included_in: str | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """The models that a profile may be used for."""

    n_embd: int
    n_head: int
    context: tuple[int, int]
    variants: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostProfile:
    """Prices and where they come from.

    Parameters
    ----------
    name, engine, engine_version, protocol, date, source : what was measured, when, and how the prices were made from it.
    parties, ring_bits, fraction_bits : of the protocol; fractional bits None if unknown.
    counts : "one_party", bytes sent by one of two parties, or "total", all traffic.
    phase, left_out : what the bytes hold, and what not.
    bytes_accuracy, seconds_accuracy : largest relative error on what the prices were made from; seconds None if there are none.
    covers : None if prices hold for every shape.
    notes : what a reader must know.
    prices : one a kind of operation; a missing kind is refused.
    """

    name: str
    engine: str
    engine_version: str
    protocol: str
    date: str
    source: str
    counts: str
    phase: str
    left_out: str
    parties: int
    ring_bits: int
    fraction_bits: int | None
    bytes_accuracy: float
    seconds_accuracy: float | None
    covers: Coverage | None
    notes: tuple[str, ...]
    prices: Mapping[str, Price]

    @property
    def words(self) -> str:
        """Return the profile in one phrase."""
        whose = "bytes sent by one party" if self.counts == "one_party" else "total traffic"
        return f"{self.name} ({self.engine} {self.engine_version}, {self.protocol}, {self.ring_bits}-bit ring, {self.date}; {whose})"

    def require(self, program: ModelProgram) -> None:
        """Check that every operation has a price and that the model is covered.

        Raises
        ------
        ValueError : an operation or a model that the profile knows nothing of.
        """
        unknown = {op.kind for op in program.ops} - set(self.prices)
        if unknown:
            raise ValueError(
                f"profile {self.name} has no price for {', '.join(sorted(unknown))}; it knows {', '.join(sorted(self.prices))}"
            )
        if self.covers is not None:
            _require_covered(self.name, self.covers, program)


def price_of(op: Op, linear: Linear) -> float:
    """Return the value of a price for one operation."""
    return sum(coefficient * FEATURES[feature](op) for feature, coefficient in linear.items())


def _require_covered(name: str, covers: Coverage, program: ModelProgram) -> None:
    config = program.config
    checks = {
        "n_embd": (config.n_embd == covers.n_embd, config.n_embd, str(covers.n_embd)),
        "n_head": (config.n_head == covers.n_head, config.n_head, str(covers.n_head)),
        "T": (covers.context[0] <= program.T <= covers.context[1], program.T, "{} to {}".format(*covers.context)),
        "variant": (config.variant in covers.variants, config.variant, " ".join(covers.variants)),
        "fold": (program.fold == "none", program.fold, "none"),
        "packing": (program.execution.packing == 1, program.execution.packing, "1"),
        "projections": (program.execution.projections == "separate", program.execution.projections, "separate"),
        "scaling": (program.scaling != "weights", program.scaling, "logits"),
    }
    for field, (covered, value, allowed) in checks.items():
        if not covered:
            raise ValueError(f"profile {name} knows {field} {allowed}, got {value}; take another profile")
