"""Values as text for a reader: numbers with few digits, intervals, lists of words, settings on one line."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from mechanisms.json_ready import JsonValue, json_ready


def number(value: float, digits: int = 3) -> str:
    """Write a number for a reader: `digits` significant ones, powers of ten where it is tiny or huge.

    Examples
    --------
    >>> number(2.0), number(1.797), number(1e-5), number(12345.6), number(float("inf"))
    ('2', '1.80', '10⁻⁵', '12,346', '∞')
    """
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e6:
        return _power_of_ten(value, digits)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    short = text.rstrip("0").rstrip(".") if "." in text else text
    exact = float(short.replace(",", "")) == value  # 2.0 is written 2, but 1.797 is written 1.80
    return (short if exact else text).replace("-", "−")


def interval(low: float, high: float, digits: int = 3) -> str:
    """Write an interval: "2.1 to 3.8"."""
    return f"{number(low, digits)} to {number(high, digits)}"


def told_apart(first: float, second: float) -> tuple[str, str]:
    """Write two numbers with as many digits as it takes to see which is larger.

    Examples
    --------
    >>> told_apart(1.0, 1.0004), told_apart(8.0, 2.3456)
    (('1', '1.0004'), ('8', '2.35'))
    """
    apart = (digits for digits in range(3, 16) if f"{first:.{digits}g}" != f"{second:.{digits}g}")
    digits = next(apart, 3)
    return number(first, digits), number(second, digits)


def listed(parts: Sequence[str]) -> str:
    """Join words: "a", "a and b", "a, b and c"."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def plain(value: JsonValue) -> str:
    """Write a JSON value for a reader: words as they are, "yes" and "no", lists and mappings as compact JSON.

    Examples
    --------
    >>> plain(True), plain(None), plain([1, 2]), plain("adam")
    ('yes', 'none', '[1, 2]', 'adam')
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int):
        return str(value)
    ready = json_ready(value)
    return ready if isinstance(ready, str) else json.dumps(ready, ensure_ascii=False)


def _power_of_ten(value: float, digits: int) -> str:
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    power = "10" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return (power if mantissa == "1" else f"{mantissa} × {power}").replace("-", "−")
