"""What a private selection returns: which candidates, and what the choice costs. Utilities never enter the record."""

from __future__ import annotations

from dataclasses import dataclass

from mechanisms.guarantee import PrivacyGuarantee
from mechanisms.json_ready import JsonValue, json_ready

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Selection:
    """Chosen candidates and the price.

    Parameters
    ----------
    indices : positions of the chosen candidates, in the order in which they were chosen.
    guarantee : the pure guarantee of the whole choice.
    rho : its zCDP parameter, often far below epsilon^2 / 2.
    secure_noise : False if the coins came from a seed; then nothing is protected.
    """

    indices: tuple[int, ...]
    guarantee: PrivacyGuarantee
    rho: float
    secure_noise: bool

    @property
    def index(self) -> int:
        """The candidate chosen first."""
        return self.indices[0]

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {
            "schema_version": SCHEMA_VERSION,
            "indices": list(self.indices),
            "guarantee": self.guarantee.to_dict(),
            "rho": json_ready(self.rho),
            "secure_noise": self.secure_noise,
        }
