"""Profiles: every file is read and complete, wrong files are refused with the entry named, and coverage is kept."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from importlib.resources import files

import pytest

from private_inference.config import PIGPTConfig
from private_inference.cost.estimate import estimate_cost
from private_inference.cost.operations import KINDS
from private_inference.cost.profile_file import PROFILES, load_profile, profile_from_record


def record_of(name: str) -> dict[str, object]:
    text = (files("private_inference.cost") / "profiles" / f"{name}.json").read_text(encoding="utf-8")
    record: dict[str, object] = json.loads(text)
    return record


def test_all_files_are_listed():
    folder = files("private_inference.cost") / "profiles"
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}.json" for name in PROFILES)


@pytest.mark.parametrize("name", PROFILES)
def test_shipped_profiles_say_where_they_come_from(name: str):
    profile = load_profile(name)
    assert profile.name == name
    assert profile.protocol in profile.words
    assert profile.left_out
    assert profile.source
    assert profile.bytes_accuracy <= 0.01


def test_the_dealer_profile_prices_everything_and_says_what_is_missing():
    profile = load_profile("semi2k-fm64")
    assert set(profile.prices) == set(KINDS)
    assert "offline" in profile.left_out
    assert profile.counts == "one_party"
    assert load_profile("cheetah-published").counts == "total"


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("schema_version",), 2, "schema_version must be 1"),
        (("counts",), "some", "counts must be one of"),
        (("engine",), 3, "engine must be a text"),
        (("parties",), 1, "parties must be a whole number >= 2"),
        (("extra",), 1, "unknown or missing: .'extra'"),
        (("prices", "tanh"), {"bytes": {}}, "price must be one of"),
        (("prices", "gelu"), {"messages": {}}, "price of gelu must have bytes"),
        (("prices", "gelu"), {"bytes": {"letters": 3}}, "feature of gelu must be one of"),
        (("prices", "gelu", "bytes", "elements"), -1, "elements of gelu must be non-negative"),
        (("prices", "gelu", "bytes", "elements"), "many", "elements of gelu must be a number"),
        (("prices", "gelu"), {"included_in": "relu", "bytes": {}}, "gelu must have exactly"),
        (("notes",), "none", "notes must be a list"),
        (("prices",), [], "prices must be a table"),
        (("accuracy",), {"bytes": 0.1}, "accuracy must have exactly"),
        (("covers",), {"n_embd": 8}, "covers must have exactly"),
    ],
)
def test_wrong_files_are_refused_with_the_entry(path: tuple[str, ...], value: object, sentence: str):
    record = copy.deepcopy(record_of("semi2k-fm64"))
    place: dict[str, object] = record
    for key in path[:-1]:
        place = place[key]  # type: ignore[assignment]
    place[path[-1]] = value
    with pytest.raises((ValueError, TypeError), match=sentence):
        profile_from_record(record)


def test_unknown_profile_is_refused():
    with pytest.raises(ValueError, match="profile must be one of 'semi2k-fm64', 'cheetah-published'"):
        load_profile("../semi2k-fm64")


@pytest.mark.parametrize(
    ("change", "options", "sentence"),
    [
        ({"n_embd": 384}, {}, "knows n_embd 768, got 384"),
        ({"n_head": 6}, {}, "knows n_head 12, got 6"),
        ({"variant": "sm_ln"}, {}, "knows variant sm_ln_gelu .* got sm_ln;"),
        ({"variant": "sm_relu"}, {}, "got sm_relu;"),
        ({"variant": "sm_scffn"}, {"fold": "fused"}, "knows fold none, got fused"),
        ({}, {"packing": 4}, "knows packing 1, got 4"),
        ({}, {"projections": "joined"}, "knows projections separate, got joined"),
        ({}, {"scaling": "weights"}, "knows scaling logits, got weights"),
        ({}, {"score": "softmax_rr"}, "no price for softmax_rr"),
        ({"block_size": 1024}, {"T": 1024}, "knows T 128 to 512, got 1024"),
    ],
)
def test_published_prices_hold_for_published_models_only(change: dict[str, object], options: dict[str, object], sentence: str):
    shape = {"n_layer": 12, "n_head": 12, "n_embd": 768, "block_size": 128, "vocab_size": 50257, **change}
    T = options.pop("T", 128)
    with pytest.raises(ValueError, match=sentence):
        estimate_cost(PIGPTConfig(**shape), T, profile="cheetah-published", **options)  # type: ignore[arg-type]


def test_costs_need_no_torch():
    code = (
        "import sys\nfrom private_inference.config import PIGPTConfig\nfrom private_inference.cost.census import census\n"
        "from private_inference.cost.estimate import estimate_cost\nfrom private_inference.cost.comparison import compare\n"
        "c = PIGPTConfig(n_layer=1, n_head=1, n_embd=8, block_size=8, vocab_size=8)\n"
        "census(c, 8); e = estimate_cost(c, 8); compare(e, e)\nsys.stdout.write(str('torch' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False"
