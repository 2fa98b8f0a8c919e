"""`privacy-audit attention`: census and cost on one screen and as JSON, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from private_inference.config import PIGPTConfig
from private_inference.cost.census import census
from private_inference.cost.estimate import estimate_cost
from tests.cli.running import run_cli

GPT2 = PIGPTConfig(n_layer=12, n_head=12, n_embd=768, block_size=128, vocab_size=50257)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("census", "--help"),
        ("cost", "--help"),
        ("census",),
        ("census", "--variant", "sm_scffn", "--fold", "fused", "--count", "full", "--context", "512"),
        ("cost",),
        ("cost", "--variant", "sm_scfuffn", "--fold", "full", "--score", "softmax_rr", "--packing", "4", "--against", "sm_ln_gelu"),
        ("cost", "--profile", "cheetah-published", "--network", "wan", "--output"),
        ("cost", "--network", "3000,0.8", "--projections", "joined", "--scaling", "weights", "--score", "softmax_shift"),
        ("cost", "--packing", "4", "--packing-layout", "one_by_one", "--fold", "full", "--scaling", "logits", "--variant", "sm_scfuffn"),
    ],
)
def test_fits_the_screen(arguments: tuple[str, ...]):
    done = run_cli("attention", *arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_census_is_the_record():
    assert json.loads(run_cli("attention", "census", "--json").stdout) == census(GPT2, 128).to_dict()
    assert "FFN 14.4955e9, attention 7.7007e9" in run_cli("attention", "census").stdout


def test_cost_is_the_record():
    record = json.loads(run_cli("attention", "cost", "--json", "--score", "softmax_rr").stdout)
    assert record.pop("against") == []
    assert record == estimate_cost(GPT2, 128, score="softmax_rr").to_dict()


def test_comparison_with_the_stock_softmax_and_with_the_same():
    arguments = ("--variant", "sm_scfuffn", "--fold", "full", "--score", "softmax_rr", "--packing", "4", "--against", "sm_ln_gelu")
    stock, equal = json.loads(run_cli("attention", "cost", *arguments, "--json").stdout)["against"]
    assert (round(stock["bytes_ratio"], 2), round(equal["bytes_ratio"], 2)) == (6.87, 5.06)
    assert "6.87 x the bytes" in run_cli("attention", "cost", *arguments).stdout


def test_config_from_a_file(tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(GPT2.to_dict()), encoding="utf-8")
    assert run_cli("attention", "census", "--config", str(path)).stdout == run_cli("attention", "census").stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("census", "--heads", "5"), "n_embd must be a multiple of n_head"),
        (("census", "--variant", "big"), "variant must be one of"),
        (("census", "--context", "0"), "context must be a whole number >= 1, got 0"),
        (("census", "--count", "some"), "attention_count must be one of"),
        (("cost", "--network", "fast,er"), "--network must be lan, wan, or two numbers"),
        (("cost", "--network", "moon"), "network must be one of 'lan', 'wan'"),
        (("cost", "--profile", "cheetah-published", "--score", "quad2"), "no price for quad2"),
        (("cost", "--packing", "3"), "packing must divide T = 128"),
        (("cost", "--packing-layout", "joined"), "packing_layout must be one of 'auto', 'one_by_one', 'at_once'"),
        (("cost", "--packing-layout", "at_once"), "packing_layout must be 'one_by_one' for the stock softmax"),
        (("cost", "--config", "CONFIG", "--layers", "3"), "give --config or --layers, not both"),
        (("cost", "--config", "CONFIG"), "must be a PIGPTConfig in JSON"),
        (("cost", "--config", "LIST"), "a table of its fields"),
    ],
)
def test_bad_input_is_one_sentence(arguments: tuple[str, ...], sentence: str, tmp_path: Path):
    (tmp_path / "broken.json").write_text("{", encoding="utf-8")
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    files = {"CONFIG": tmp_path / "broken.json", "LIST": tmp_path / "list.json"}
    done = run_cli("attention", *(str(files.get(argument, argument)) for argument in arguments))
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["census", "cost"])
def test_loads_nothing_heavy(command: str):
    code = (
        "import sys, atexit\natexit.register(lambda: sys.stderr.write(' '.join(sys.modules)))\n"
        f"from privacy_audit.cli.main import main\nmain(['attention', '{command}'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert {"torch", "pymc", "sklearn", "matplotlib", "scipy.stats", "rich"}.isdisjoint(done.stderr.split())
