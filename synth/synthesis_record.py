"""What one synthesis was, as a record to keep beside the table: the guarantee, the ledger, how the fit went. All of it may be published.

Everything in it is an output of the mechanism, or public: it is part of what the guarantee covers. The record knows the SHA-256 of the
file that was written, so a table and its ledger can be held together later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from mechanisms.accounting.ledger import LedgerEntry
from mechanisms.guarantee import PrivacyGuarantee
from mechanisms.json_ready import JsonValue, json_record, number_from_json

if TYPE_CHECKING:
    from synth.private_gsd import PrivateGSDSynthesizer

SCHEMA_VERSION = 1
KIND = "synthesis"


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisRecord:
    """One synthesis; may be published.

    Parameters
    ----------
    guarantee : of everything here and of the table together.
    rho : the budget in zCDP.
    ledger : what was spent, entry by entry; their rhos sum to at most `rho`.
    mode : "one_shot" or "adaptive".
    noise_ratio : what the rule of mode "auto" saw; None where the mode was given.
    n_rows : rows of the real table, public under replacement, else a noisy estimate.
    n_synthetic : rows of the synthetic table.
    fitness, noise_energy : of the fit: the squared error that is left, and what noise alone would leave.
    stopped : why the fit ended.
    columns : names.
    workload : what was asked to be right, in words.
    versions : of the program and what it computes with.
    sha256 : of the file that the table was written to; None where it was written to none.

    Raises
    ------
    ValueError : entries that sum to more than rho.
    """

    guarantee: PrivacyGuarantee
    rho: float
    ledger: tuple[LedgerEntry, ...]
    mode: str
    noise_ratio: float | None
    n_rows: float
    n_synthetic: int
    fitness: float
    noise_energy: float
    stopped: str
    columns: tuple[str, ...]
    workload: str
    versions: Mapping[str, str] = field(default_factory=dict)
    sha256: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "versions", MappingProxyType(dict(self.versions)))
        if self.spent > self.rho * (1 + 1e-6):
            raise ValueError(f"the ledger's entries sum to rho {self.spent:.6g}, more than the budget of {self.rho:.6g}")

    @property
    def spent(self) -> float:
        """Return the sum of the entries' rho."""
        return sum(entry.rho for entry in self.ledger)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "versions"}
        return json_record({"schema_version": SCHEMA_VERSION, "kind": KIND, **own, "spent": self.spent, "versions": dict(self.versions)})

    @classmethod
    def from_dict(cls, record: Mapping[str, object]) -> SynthesisRecord:
        """Rebuild a record from `to_dict()`.

        Raises
        ------
        ValueError : no such record, or one that lacks a key or holds a value of another type.
        """
        if record.get("kind") != KIND or record.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(f"not a record of a synthesis of version {SCHEMA_VERSION}; give the file that --ledger wrote")
        try:
            return cls(**_fields(record))  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"the record of a synthesis is damaged: {type(error).__name__}; give the file that --ledger wrote") from error

    def __reduce__(self) -> tuple[object, tuple[dict[str, JsonValue]]]:
        return type(self).from_dict, (self.to_dict(),)


def synthesis_record(
    synthesizer: PrivateGSDSynthesizer, *, workload: str, versions: Mapping[str, str], sha256: str | None = None
) -> SynthesisRecord:
    """Return the record of a fitted synthesizer.

    Parameters
    ----------
    synthesizer : fitted.
    workload : in words.
    versions, sha256 : see `SynthesisRecord`.
    """
    return SynthesisRecord(
        guarantee=synthesizer.privacy_,
        rho=synthesizer.rho_,
        ledger=tuple(synthesizer.ledger_),
        mode=synthesizer.mode_,
        noise_ratio=synthesizer.noise_ratio_,
        n_rows=float(synthesizer.n_rows_),
        n_synthetic=synthesizer.encoded_.n_rows,
        fitness=float(synthesizer.fitness_),
        noise_energy=float(synthesizer.noise_energy_),
        stopped=synthesizer.stopped_,
        columns=synthesizer.schema_.names,
        workload=workload,
        versions=versions,
        sha256=sha256,
    )


def file_sha256(path: str | PathLike[str]) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fields(record: Mapping[str, object]) -> dict[str, object]:
    """Return the arguments of a record's constructor."""
    ratio, guarantee, entries, versions, columns = (record[key] for key in ("noise_ratio", "guarantee", "ledger", "versions", "columns"))
    if not (isinstance(guarantee, Mapping) and isinstance(entries, list) and isinstance(versions, Mapping) and isinstance(columns, list)):
        raise TypeError("a part has another type")
    return {
        "guarantee": PrivacyGuarantee.from_dict(guarantee),
        "ledger": tuple(_entry(entry) for entry in entries),
        "noise_ratio": None if ratio is None else number_from_json(ratio),
        "n_synthetic": int(number_from_json(record["n_synthetic"])),
        "columns": tuple(str(name) for name in columns),
        "versions": {str(name): str(value) for name, value in versions.items()},
        "sha256": None if record["sha256"] is None else str(record["sha256"]),
        **{name: number_from_json(record[name]) for name in ("rho", "n_rows", "fitness", "noise_energy")},
        **{name: str(record[name]) for name in ("mode", "stopped", "workload")},
    }


def _entry(entry: Mapping[str, object]) -> LedgerEntry:
    numbers = {name: number_from_json(entry[name]) for name in ("sensitivity", "scale", "rho")}
    return LedgerEntry(str(entry["step"]), str(entry["mechanism"]), **numbers)
