"""The record of a synthesis: there and back, its ledger adds up, a damaged one is refused."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest

from mechanisms.accounting.ledger import LedgerEntry
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.noise.source import SeededNoise
from synth.private_gsd import PrivateGSDSynthesizer
from synth.schema import Categorical, Ordinal, Schema
from synth.synthesis_record import SynthesisRecord, file_sha256, synthesis_record


def record(**changes: object) -> SynthesisRecord:
    entries = (LedgerEntry("marginal a", "discrete gaussian", 1.0, 10.0, 0.005), LedgerEntry("choice", "exponential", 1.0, 4.0, 0.005))
    given = {
        "guarantee": PrivacyGuarantee(1.0, 1e-9, Neighboring.ADD_REMOVE, mechanism="Private-GSD, adaptive", assumptions=("x",)),
        "rho": 0.0101,
        "ledger": entries,
        "mode": "adaptive",
        "noise_ratio": 0.2,
        "n_rows": 99.5,
        "n_synthetic": 100,
        "fitness": 0.1,
        "noise_energy": 0.2,
        "stopped": "converged",
        "columns": ("a", "b"),
        "workload": "all pairs of columns",
        "versions": {"numpy": "2"},
    }
    return SynthesisRecord(**{**given, **changes})


@pytest.mark.parametrize("changes", [{}, {"noise_ratio": None, "sha256": "ab"}])
def test_there_and_back(changes: dict[str, object]) -> None:
    first = record(**changes)
    again = SynthesisRecord.from_dict(json.loads(json.dumps(first.to_dict())))
    assert again == first
    assert pickle.loads(pickle.dumps(first)) == copy.deepcopy(first) == first
    assert first.spent == pytest.approx(0.01)
    with pytest.raises(TypeError):
        first.versions["numpy"] = "1"


def test_an_overdrawn_ledger_is_refused() -> None:
    with pytest.raises(ValueError, match="more than the budget"):
        record(rho=0.009)


@pytest.mark.parametrize(
    "damage",
    [
        {"ledger": "x"},
        {"ledger": [{}]},
        {"ledger": ["x"]},
        {"guarantee": {}},
        {"rho": "much"},
        {"columns": 3},
        {"rho": 1e-9},
        {"versions": []},
    ],
    ids=str,
)
def test_a_damaged_record_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="damaged"):
        SynthesisRecord.from_dict(record().to_dict() | damage)


@pytest.mark.parametrize("other", [{}, {"kind": "synthesis", "schema_version": 2}, {"kind": "audit", "schema_version": 1}])
def test_another_record_is_refused(other: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a record of a synthesis"):
        SynthesisRecord.from_dict(other)


def test_a_missing_key_is_refused() -> None:
    whole = record().to_dict()
    for key in whole.keys() - {"schema_version", "kind", "spent"}:
        with pytest.raises(ValueError, match="damaged"):
            SynthesisRecord.from_dict({name: value for name, value in whole.items() if name != key})


def test_of_a_synthesizer(tmp_path: Path) -> None:
    schema = Schema((Categorical("smokes", ("no", "yes")), Ordinal("age", 0, 99, step=10)))
    table = {"smokes": ["no", "yes"] * 50, "age": list(range(100))}
    with pytest.warns(UserWarning, match="reproducible, not private"):
        synthesizer = PrivateGSDSynthesizer(epsilon=1.0, schema=schema, n_synthetic=30, noise=SeededNoise(1), random_state=1).fit(table)
    made = synthesis_record(synthesizer, workload="pairs", versions={}, sha256="00")
    assert made.spent <= made.rho
    assert made.ledger == tuple(synthesizer.ledger_)
    assert (made.n_synthetic, made.n_rows, made.columns) == (30, 100, ("smokes", "age"))
    assert made.guarantee.epsilon == 1.0
    assert SynthesisRecord.from_dict(made.to_dict()) == made
    file = tmp_path / "x"
    file.write_bytes(b"abc")
    assert file_sha256(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
