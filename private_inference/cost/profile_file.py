"""The shipped profiles: JSON files of the package, checked when read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from mechanisms.validation import non_negative, one_of, whole_number
from private_inference.cost.operations import KINDS
from private_inference.cost.profile import FEATURES, CostProfile, Coverage, Price

PROFILES = ("semi2k-fm64", "cheetah-published")
SCHEMA_VERSION = 1
_TEXTS = ("name", "engine", "engine_version", "protocol", "date", "source", "counts", "phase", "left_out")
_KEYS = {"schema_version", *_TEXTS, "parties", "ring_bits", "fraction_bits", "accuracy", "covers", "notes", "prices"}


@cache
def load_profile(name: str) -> CostProfile:
    """Return one of the shipped profiles.

    Parameters
    ----------
    name : one of `PROFILES`.

    Raises
    ------
    ValueError : an unknown name.

    Examples
    --------
    >>> load_profile("semi2k-fm64").words
    'semi2k-fm64 (SPU 0.9.5, SEMI2K, 64-bit ring, 2026-11-29; bytes sent by one party)'
    """
    one_of(PROFILES, profile=name)
    text = (files("private_inference.cost") / "profiles" / f"{name}.json").read_text(encoding="utf-8")
    return profile_from_record(json.loads(text))


def profile_from_record(record: Mapping[str, object]) -> CostProfile:
    """Return the profile of a JSON record; unknown, missing and impossible entries are errors.

    Raises
    ------
    ValueError, TypeError : the entry, and what it must be.
    """
    _exact_keys("profile", record, _KEYS)
    if record["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"schema_version must be {SCHEMA_VERSION}, got {record['schema_version']}")
    texts = {name: _text(name, record[name]) for name in _TEXTS}
    one_of(("one_party", "total"), counts=texts["counts"])
    accuracy = _mapping("accuracy", record["accuracy"])
    _exact_keys("accuracy", accuracy, {"bytes", "seconds"})
    fraction_bits, seconds, covers = record["fraction_bits"], accuracy["seconds"], record["covers"]
    return CostProfile(
        **texts,
        parties=whole_number(2, parties=record["parties"]),
        ring_bits=whole_number(1, ring_bits=record["ring_bits"]),
        fraction_bits=None if fraction_bits is None else whole_number(1, fraction_bits=fraction_bits),
        bytes_accuracy=non_negative(accuracy=accuracy["bytes"]),
        seconds_accuracy=None if seconds is None else non_negative(accuracy=seconds),
        covers=None if covers is None else _coverage(_mapping("covers", covers)),
        notes=_texts("notes", record["notes"]),
        prices=_prices(_mapping("prices", record["prices"])),
    )


def _prices(record: Mapping[str, object]) -> dict[str, Price]:
    for kind in record:
        one_of(KINDS, price=kind)
    return {kind: _price(kind, _mapping(kind, entry)) for kind, entry in record.items()}


def _price(kind: str, entry: Mapping[str, object]) -> Price:
    if "included_in" in entry:
        _exact_keys(kind, entry, {"included_in"})
        return Price({}, None, {}, _text("included_in", entry["included_in"]))
    if unknown := set(entry) - {"bytes", "messages", "seconds"} or {"bytes"} - set(entry):
        raise ValueError(f"the price of {kind} must have bytes, and may have messages and seconds; wrong or missing: {sorted(unknown)}")
    linear = {name: _linear(kind, _mapping(name, value)) for name, value in entry.items()}
    return Price(linear["bytes"], linear.get("messages"), linear.get("seconds"))


def _linear(kind: str, entry: Mapping[str, object]) -> dict[str, float]:
    for feature in entry:
        one_of(tuple(FEATURES), **{f"feature of {kind}": feature})
    return {feature: non_negative(**{f"{feature} of {kind}": value}) for feature, value in entry.items()}


def _coverage(record: Mapping[str, object]) -> Coverage:
    _exact_keys("covers", record, {"n_embd", "n_head", "context", "variants"})
    low, high = (whole_number(1, context=end) for end in _sequence("context", record["context"]))
    n_embd, n_head = (whole_number(1, **{name: record[name]}) for name in ("n_embd", "n_head"))
    return Coverage(n_embd, n_head, (low, high), _texts("variants", record["variants"]))


def _exact_keys(what: str, record: Mapping[str, object], keys: set[str]) -> None:
    if wrong := set(record) ^ keys:
        raise ValueError(f"{what} must have exactly {sorted(keys)}; unknown or missing: {sorted(wrong)}")


def _mapping(name: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a table, got {type(value).__name__}")
    return value


def _sequence(name: str, value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"{name} must be a list, got {type(value).__name__}")
    return value


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{name} must be a text, got {type(value).__name__}")
    return value


def _texts(name: str, value: object) -> tuple[str, ...]:
    return tuple(_text(name, item) for item in _sequence(name, value))
