"""A link between two servers, and the three terms of the time that a program spends on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mechanisms.json_ready import JsonValue, json_ready
from mechanisms.validation import non_negative, positive


@dataclass(frozen=True, slots=True)
class Network:
    """A link.

    Parameters
    ----------
    name : for reports.
    round_trip : seconds, >= 0.
    bandwidth : bits a second in each direction, > 0.
    """

    name: str
    round_trip: float
    bandwidth: float

    def __post_init__(self) -> None:
        non_negative(round_trip=self.round_trip)
        positive(bandwidth=self.bandwidth)

    @property
    def words(self) -> str:
        """Return the link in one phrase."""
        return f"{self.name}, {self.bandwidth / 1e6:,.0f} Mbit/s, {1e3 * self.round_trip:g} ms round trip"


NETWORKS: Mapping[str, Network] = {
    "lan": Network("lan", round_trip=0.8e-3, bandwidth=1e9),
    "wan": Network("wan", round_trip=80e-3, bandwidth=1e8),  # the published setting
}


@dataclass(frozen=True, slots=True)
class Latency:
    """Where the time goes, in seconds; None is unknown, which is not 0.

    Parameters
    ----------
    network : the link.
    rounds : waiting, number of rounds times the round trip.
    transfer : bytes over bandwidth.
    compute : the servers' own work.
    """

    network: Network
    rounds: float | None
    transfer: float
    compute: float | None

    @property
    def at_least(self) -> float:
        """Return the sum of the terms that are known."""
        return sum(term for term in (self.rounds, self.transfer, self.compute) if term is not None)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        terms = {name: json_ready(getattr(self, name)) for name in ("rounds", "transfer", "compute", "at_least")}
        return {"network": self.network.words, **terms}
