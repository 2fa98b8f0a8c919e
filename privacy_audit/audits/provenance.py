"""What every audit says of itself: versions, progress to nobody, and which claims it can be held against."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from mechanisms.guarantee import Neighboring, PrivacyGuarantee

Progress = Callable[[int, int, str], None]


def silent(done: int, total: int, label: str) -> None:
    """Report progress to nobody."""


def versions(*tools: str) -> dict[str, str]:
    """Return the versions of Python and of these distributions."""
    found = {"python": platform.python_version()}
    for tool in tools:
        try:
            found[tool] = version(tool)
        except PackageNotFoundError:
            found[tool] = "not installed as a package"
    return found


def require_audited_neighbors(claim: PrivacyGuarantee | None, delta: float) -> None:
    """Refuse a claim about other neighbors or another delta than the audit's.

    Raises
    ------
    TypeError : no `PrivacyGuarantee`.
    ValueError : a claim not for add/remove neighbors, or at another delta.
    """
    if claim is None:
        return
    if not isinstance(claim, PrivacyGuarantee):
        raise TypeError(f"claim must be a PrivacyGuarantee (it carries the neighboring relation), got {type(claim).__name__}")
    if claim.neighboring is not Neighboring.ADD_REMOVE:
        raise ValueError(
            f"records are added or left out, so the claim must be for add_remove neighbors, got {claim.neighboring.value}; "
            "claims of different neighboring relations are not compared"
        )
    if claim.delta != delta:
        raise ValueError(f"claim and audit must have the same delta, got {claim.delta:g} and {delta:g}")
