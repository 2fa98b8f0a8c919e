"""What every declared column is checked for: a name, bounds in order, codes that can be counted, cells that floats can tell apart.

Limits: at most 2^31 - 1 codes; whole numbers within 2^50 of zero, and at most 2^51 counts of a unit, since a position k / span then comes
back as k exactly (two roundings move k by at most 2^-52 k < 1/2); equal bins at least 8 float spacings wide, so that no two edges meet.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise

import numpy as np

LARGEST_SIZE = 2**31 - 1
LARGEST_WHOLE = 2**50
LARGEST_SPAN = 2**51
_LEAST_WIDTH = 1e-300  # where floats have all their digits
ISO_8601 = r"\d{4}(-\d{2}(-\d{2}([T ]\d{2}(:\d{2}(:\d{2}(\.\d{1,9})?)?)?)?)?)?"


def valid_name(name: object) -> None:
    """Refuse what is no name."""
    if not isinstance(name, str) or not name:
        raise TypeError("a column's name must be a text that is not empty")


def valid_bounds(name: str, lower: float, upper: float) -> None:
    """Refuse bounds that are infinite, equal or the wrong way round."""
    if not (math.isfinite(lower) and math.isfinite(upper) and lower < upper):
        raise ValueError(f"column {name!r}: lower must be finite and below upper")


def valid_size(name: str, size: int) -> None:
    """Refuse more codes than an int32 holds."""
    if size > LARGEST_SIZE:
        raise ValueError(f"column {name!r} has {size:,} codes, more than can be counted; take wider bins or steps")


def valid_whole_bounds(name: str, lower: int, upper: int) -> None:
    """Refuse whole numbers that positions can't tell apart."""
    if max(abs(lower), abs(upper)) > LARGEST_WHOLE:
        raise ValueError(f"column {name!r}: bounds must lie within 2^50 of zero; take Continuous for larger numbers")


def valid_span(name: str, span: int) -> None:
    """Refuse more counts of a unit than positions can tell apart."""
    if span > LARGEST_SPAN:
        raise ValueError(f"column {name!r} spans more than 2^51 units; take a coarser unit")


def time_count(name: str, text: object, unit: str) -> int:
    """Return ISO 8601 text as a whole count of the unit since 1970; refuse "now" and "NaT", which numpy takes, and time zones."""
    if not isinstance(text, str) or not re.fullmatch(ISO_8601, text):
        raise ValueError(f"column {name!r}: times must be ISO 8601 text without a time zone, such as '2024-01-31'")
    try:
        return int(np.array(text, dtype=f"datetime64[{unit}]").astype(np.int64))
    except ValueError:
        raise ValueError(f"column {name!r}: times must be days and hours that exist, such as '2024-01-31'") from None


def valid_bins(name: str, lower: float, upper: float, bins: int) -> None:
    """Refuse equal bins whose edges meet as floats."""
    if not math.isfinite(upper - lower):
        raise ValueError(f"column {name!r}: upper - lower must be finite; take narrower bounds")
    if (upper - lower) / bins < max(8 * math.ulp(max(abs(lower), abs(upper))), _LEAST_WIDTH):
        raise ValueError(f"column {name!r}: the bins are narrower than floats can tell apart; take fewer bins")


def valid_edges(name: str, edges: tuple[float, ...]) -> None:
    """Refuse edges, bounds included, that don't increase, be it only once they are scaled to [0, 1]."""
    if any(not left < right for left, right in pairwise(edges)):
        raise ValueError(f"column {name!r}: edges must increase and lie strictly between the bounds")
    lower, span = edges[0], edges[-1] - edges[0]
    if any(not left < right for left, right in pairwise((edge - lower) / span for edge in edges)):
        raise ValueError(f"column {name!r}: edges lie closer together than floats can tell apart between these bounds")
