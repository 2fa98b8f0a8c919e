"""`privacy-audit account`: the accountant's figure with its assumptions, in a table and as JSON."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from mechanisms import PrivacyGuarantee, dp_sgd_epsilon
from mechanisms.errors import UnsupportedClaimError
from privacy_audit.cli.main import app

RUN = {"sample_rate": 1.0, "noise_multiplier": 10.0, "steps": 100, "delta": 1e-5}
OPTIONS = ["--sample-rate", "1", "--noise-multiplier", "10", "--steps", "100", "--delta", "1e-5"]


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["account", *arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_table():
    text = invoke(*OPTIONS)
    assert "epsilon    4.3772\n" in text
    assert "add_remove" in text
    assert "Poisson sampling" in text
    assert max(map(len, text.splitlines())) <= 80


def test_json_is_the_record_and_nothing_else():
    record = json.loads(invoke(*OPTIONS, "--json"))
    assert PrivacyGuarantee.from_dict(record) == dp_sgd_epsilon(**RUN)


def test_accountant_is_handed_on():
    assert "RDP accountant" in invoke(*OPTIONS, "--accountant", "rdp")
    with pytest.raises(UnsupportedClaimError, match="central limit"):
        invoke(*OPTIONS, "--accountant", "gdp")
    with pytest.raises(ValueError, match="one of 'pld', 'prv', 'rdp'"):
        invoke(*OPTIONS, "--accountant", "fft")


def test_bad_value_is_named():
    with pytest.raises(ValueError, match="sample_rate must be in"):
        invoke(*OPTIONS[2:], "--sample-rate", "64")
