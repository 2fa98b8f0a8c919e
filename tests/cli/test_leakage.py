"""`privacy-audit leakage`: the library's figures, exact first, in a table and as JSON."""

from __future__ import annotations

import json

import pytest

from attacks.distribution.leakage import METHODS, n_leaked
from tests.cli.running import run_cli

OPTIONS = ("--accuracy", "0.9", "--ratios", "0.5,0.2")


def test_table_shows_exact_first_and_the_published_bound_second():
    done = run_cli("leakage", *OPTIONS)
    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert lines[0].split() == ["accuracy", "0.9,", "advantage", "0.8"]
    assert lines[2].split()[:2] == ["exact", "16"]
    assert lines[3].split()[:3] == ["renyi_inf", "2.17", "published"]
    assert [line.split()[0] for line in lines[4:7]] == ["kl", "hellinger", "gaussian"]
    assert "no membership risk" in done.stdout
    assert max(map(len, lines)) <= 80


def test_json_is_the_record_and_nothing_else():
    record = json.loads(run_cli("leakage", *OPTIONS, "--json").stdout)
    assert record["n_leaked"] == {method: n_leaked(0.9, 0.5, 0.2, method=method) for method in METHODS}
    assert (record["schema_version"], record["accuracy"], record["ratios"]) == (1, 0.9, [0.5, 0.2])
    perfect = json.loads(run_cli("leakage", "--accuracy", "1", "--ratios", "0.5,0.2", "--json").stdout)
    assert perfect["n_leaked"]["exact"] == "inf"


@pytest.mark.parametrize("method", METHODS)
def test_one_method(method: str):
    done = run_cli("leakage", *OPTIONS, "--method", method, "--json")
    assert list(json.loads(done.stdout)["n_leaked"]) == [method]


def test_half_leaks_nothing():
    assert set(json.loads(run_cli("leakage", "--accuracy", "0.3", "--ratios", "0.5,0.2", "--json").stdout)["n_leaked"].values()) == {0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--accuracy", "90", "--ratios", "0.5,0.2"), "Error: accuracy must be in [0, 1], got 90.0"),
        (("--accuracy", "0.9", "--ratios", "0.5"), "Error: --ratios must be two rates with a comma, for example 0.5,0.2, got '0.5'"),
        (("--accuracy", "0.9", "--ratios", "a,b"), "Error: --ratios must be two rates"),
        (("--accuracy", "0.9", "--ratios", "0.5,1.2"), "Error: ratios must be in [0, 1], got 1.2"),
        (("--accuracy", "0.9", "--ratios", "0.5,0.5"), "Error: --ratios must differ"),
        ((*OPTIONS, "--method", "best"), "Error: method must be one of"),
    ],
)
def test_bad_input_is_one_sentence(arguments: tuple[str, ...], message: str):
    done = run_cli("leakage", *arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
