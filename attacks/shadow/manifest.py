"""The manifest of a store: one SHA-256 per part of the experiment, and one over all of them.

It holds names and hashes, no value. A mapping inside the experiment is taken apart, so that a mismatch can name
`training.learning_rate` instead of `training`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from attacks.shadow.fingerprints import fingerprint
from mechanisms.errors import StoreMismatch
from mechanisms.json_ready import JsonValue

SCHEMA_VERSION = 1


def fingerprints_of(experiment: Mapping[str, JsonValue]) -> dict[str, str]:
    """Return the fingerprint of each part of an experiment, by dotted name.

    Raises
    ------
    ValueError : an empty experiment, or a name that stands twice (once with a dot, once as a mapping).
    TypeError : a name that isn't text, or a value that can't be fingerprinted.
    """
    if not experiment:
        raise ValueError("experiment must name what the scores depend on, got an empty mapping; name at least data, settings and seed")
    parts: dict[str, str] = {}
    for name, value in _leaves("", experiment):
        if name in parts:
            raise ValueError(f"experiment names {name!r} twice: once with a dot, once as a mapping")
        parts[name] = fingerprint(value)
    return parts


def digest_of(parts: Mapping[str, str]) -> str:
    """Return the SHA-256 of a whole experiment, from the fingerprints of its parts."""
    text = json.dumps({"schema_version": SCHEMA_VERSION, "parts": dict(parts)}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def manifest_bytes(parts: Mapping[str, str]) -> bytes:
    """Return the content of manifest.json."""
    manifest = {"schema_version": SCHEMA_VERSION, "parts": dict(sorted(parts.items())), "sha256": digest_of(parts)}
    return (json.dumps(manifest, indent=1) + "\n").encode()


def parts_of(data: bytes) -> dict[str, str]:
    """Read the content of manifest.json.

    Raises
    ------
    ValueError : no manifest, or a damaged one.
    StoreMismatch : a manifest of a newer schema.
    """
    manifest = json.loads(data)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("parts"), dict):
        raise ValueError("no manifest of a store")
    version = manifest.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise StoreMismatch(f"the store has schema version {version}, newer than {SCHEMA_VERSION}; update privacy-audit")
    parts = {str(name): str(value) for name, value in manifest["parts"].items()}
    if manifest.get("sha256") != digest_of(parts):
        raise ValueError("the checksum of the manifest differs")
    return parts


def differences(stored: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Return the names of the parts that differ, in order; says where one side lacks a part."""
    names = sorted(name for name in stored.keys() | wanted.keys() if stored.get(name) != wanted.get(name))
    return [_described(name, stored, wanted) for name in names]


def _leaves(prefix: str, mapping: Mapping[str, JsonValue]) -> list[tuple[str, JsonValue]]:
    found: list[tuple[str, JsonValue]] = []
    for key, value in mapping.items():
        if not isinstance(key, str) or not key:
            raise TypeError(f"experiment must have names of type str, got {type(key).__name__}")
        found += _leaves(f"{prefix}{key}.", value) if isinstance(value, Mapping) and value else [(prefix + key, value)]
    return found


def _described(name: str, stored: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    if name not in wanted:
        return f"{name} (in the store only)"
    return name if name in stored else f"{name} (not in the store)"
