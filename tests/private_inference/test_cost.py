"""Cost from prices: measured blocks, predictions for GPT-2 small, published tables, and ratios that are refused."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from private_inference.block_program import SCORES, Op

from experiments.e_pi_published import CODE_VOCABULARY, Config, Published, fit_prices
from private_inference.config import PIGPTConfig
from private_inference.cost import estimate_cost
from private_inference.cost_comparison import compare
from private_inference.cost_profile import price_of
from private_inference.network import NETWORKS, Network
from private_inference.profile_file import load_profile

PUBLISHED = Config().published


def block(variant: str, **fields: object) -> PIGPTConfig:
    shape = {"n_layer": 1, "n_head": 4, "n_embd": 128, "block_size": 128, "vocab_size": 512}
    return PIGPTConfig(**{**shape, "variant": variant, **fields})  # type: ignore[arg-type]


def gpt2(variant: str) -> PIGPTConfig:
    return block(variant, n_layer=12, n_head=12, n_embd=768, block_size=512, vocab_size=CODE_VOCABULARY)


FOLDED = {"score": "softmax_rr", "fold": "full"}
PACKED = {**FOLDED, "packing": 4}


@pytest.mark.parametrize(
    ("variant", "options", "megabytes", "messages"),
    [
        ("sm_ln_gelu", {}, "77.903", 257),
        ("sm_ln_relu", {}, "56.669", 220),
        ("sm_ln", {}, "51.951", 212),
        ("sm_scfuffn", {}, "48.955", 148),
        ("sm_scfuffn", {"score": "softmax_rr"}, "16.081", 140),
        ("sm_scfuffn", FOLDED, "15.623", 136),
        ("sm_scfuffn", PACKED, "10.904", 496),
        ("sm_ln_gelu", {"score": "softmax_rr"}, "45.029", 249),
    ],
)
def test_measured_blocks_to_the_printed_digit(variant: str, options: dict[str, str], megabytes: str, messages: int):
    """Whole blocks measured on the engine, d = 128, H = 4, T = 128: bytes sent by one party, and messages."""
    cost = estimate_cost(block(variant), 128, **options)  # type: ignore[arg-type]
    assert cost.bytes_one_party is not None
    assert f"{cost.bytes_one_party / 1e6:.3f}" == megabytes
    assert cost.messages == messages
    assert cost.bytes_both == 2 * cost.bytes_one_party


@pytest.mark.parametrize(
    ("variant", "options", "gigabytes"),
    [
        ("sm_ln_gelu", {}, "8.97"),
        ("sm_ln_relu", {}, "5.92"),
        ("sm_scfuffn", {}, "4.16"),
        ("sm_scfuffn", {"score": "softmax_rr"}, "1.79"),
        ("sm_scfuffn", FOLDED, "1.63"),
        ("sm_scfuffn", PACKED, "1.32"),
    ],
)
def test_gpt2_small_by_both_parties(variant: str, options: dict[str, str], gigabytes: str):
    assert f"{estimate_cost(gpt2(variant), 128, **options).bytes_both / 1e9:.2f}" == gigabytes  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("score", "megabytes", "messages"),
    [
        ("softmax", 1.746944, 120),
        ("softmax_rr", 0.740416, 112),
        ("softmax_shift", 0.597568, 72),
        ("quad2", 0.441920, 58),
        ("relu_over_n", 0.475136, 26),
        ("sigmoid", 1.566720, 71),
        ("linear", 0.319488, 17),
    ],
)
def test_measured_scores(score: str, megabytes: float, messages: int):
    """An attention stack of one block, d = 64, H = 2, T = 32, measured with each score."""
    cost = estimate_cost(block("sm_attention_only", n_embd=64, n_head=2), 32, score=score)
    assert (cost.bytes_one_party, cost.messages) == (round(1e6 * megabytes), messages)


def test_measured_joined_projections():
    config = block("sm_attention_only", n_embd=64, n_head=2)
    plain = estimate_cost(config, 32, score="softmax_rr", scaling="weights")
    joined = estimate_cost(config, 32, score="softmax_rr", scaling="weights", projections="joined")
    assert (plain.bytes_one_party, plain.messages) == (732224, 111)
    assert (joined.bytes_one_party, joined.messages) == (699456, 107)


def test_rows_add_up():
    cost = estimate_cost(gpt2("sm_ln_gelu"), 128, output=True)
    assert sum(row.bytes_both for row in cost.rows) == cost.bytes_both
    assert sum(row.messages or 0 for row in cost.rows) == cost.messages
    activation = next(row for row in cost.rows if row.name == "activation")
    assert activation.bytes_both == 2 * 396 * 12 * 128 * 3072
    without = estimate_cost(gpt2("sm_ln_gelu"), 128)
    product = 2 * (8 * (128 * 768 + 768 * CODE_VOCABULARY) + 4 * 128 * CODE_VOCABULARY)
    assert cost.bytes_both - without.bytes_both == product + 2 * (40 * 128 * 768 + 437 * 128)


def test_public_shift_saves_36_percent_and_half_of_the_messages():
    with_maximum, with_shift = (
        next(row for row in estimate_cost(block("sm"), 128, score=score).rows if row.kind == score)
        for score in ("softmax_rr", "softmax_shift")
    )
    assert with_shift.bytes_both / with_maximum.bytes_both == pytest.approx(0.634, abs=0.001)
    assert (with_maximum.messages, with_shift.messages) == (111, 55)
    assert any("calibrate_public_shift" in note for note in estimate_cost(block("sm"), 128, score="softmax_shift").notes)


def test_savings_of_the_folded_packed_model():
    small = estimate_cost(block("sm_scfuffn"), 128, **PACKED)  # type: ignore[arg-type]
    stock = compare(estimate_cost(block("sm_ln_gelu"), 128), small)
    equal = compare(estimate_cost(block("sm_ln_gelu"), 128, score="softmax_rr"), small)
    assert stock.bytes_ratio >= 7
    assert equal.bytes_ratio >= 4
    assert "part of the ratio is the softmax's implementation alone" in stock.words
    assert "Both have softmax_rr" in equal.words
    joined = estimate_cost(gpt2("sm_scfuffn"), 128, **PACKED, projections="joined")  # type: ignore[arg-type]
    assert compare(estimate_cost(gpt2("sm_ln_gelu"), 128), joined).bytes_ratio >= 7


def test_the_ratio_depends_on_the_softmax():
    ratios = [
        compare(estimate_cost(block("sm_ln_gelu"), 128, score=score), estimate_cost(block("sm_scfuffn"), 128, score=score)).bytes_ratio
        for score in ("softmax", "softmax_rr")
    ]
    assert ratios == pytest.approx([1.59, 2.80], abs=0.005)


def test_ratios_that_say_nothing_are_refused():
    base = estimate_cost(gpt2("sm_ln_gelu"), 128)
    with pytest.raises(ValueError, match="one profile, got semi2k-fm64 and cheetah-published"):
        compare(base, estimate_cost(gpt2("sm_ln_gelu"), 128, profile="cheetah-published"))
    with pytest.raises(ValueError, match="one T, got 128 and 256"):
        compare(base, estimate_cost(gpt2("sm_ln_gelu"), 256))
    with pytest.raises(ValueError, match="output matrix"):
        compare(base, estimate_cost(gpt2("sm_ln_gelu"), 128, output=True))


@pytest.mark.parametrize("line", PUBLISHED, ids=lambda line: f"{line.variant}-{line.n_layer}-{line.T}")
def test_published_figures_within_the_stated_accuracy(line: Published):
    profile = load_profile("cheetah-published")
    cost = estimate_cost(line.config, line.T, profile=profile.name, output=True)
    assert cost.bytes_both / 1e9 == pytest.approx(line.gigabytes, rel=profile.bytes_accuracy)
    assert profile.seconds_accuracy is not None
    assert cost.published_seconds is not None
    assert cost.published_seconds / 60 == pytest.approx(line.minutes, rel=profile.seconds_accuracy)
    assert cost.messages is cost.bytes_one_party is None


def test_published_prices_are_the_fit():
    prices = load_profile("cheetah-published").prices
    for kind, fitted in fit_prices(PUBLISHED).items():
        seconds = prices[kind].seconds
        assert seconds is not None
        assert prices[kind].bytes["elements"] == pytest.approx(fitted["bytes"], rel=3e-3)
        assert seconds["elements"] == pytest.approx(fitted["seconds"], rel=1e-3)


def test_gelu_minus_relu_follows_from_the_printed_gigabytes():
    """Both figures are rounded to 0.01 GB, so each setting gives an interval; the profile's difference lies in all, to a byte."""
    printed = {(line.variant, line.n_layer, line.T): line.gigabytes for line in PUBLISHED}
    prices = load_profile("cheetah-published").prices
    difference = prices["gelu"].bytes["elements"] - prices["relu"].bytes["elements"]
    for n_layer, T in ((12, 128), (12, 256), (18, 128), (12, 512)):
        gap, elements = printed["sm_ln_gelu", n_layer, T] - printed["sm_ln_relu", n_layer, T], n_layer * T * 3072
        assert abs(1e9 * gap / elements - 3366) < 3
        assert abs(1e9 * gap - difference * elements) < 1e9 * 0.01 + elements
    assert abs(difference - 3366) <= 3


def test_published_minutes_are_shorter_than_their_printed_bandwidth_allows():
    line = PUBLISHED[0]
    cost = estimate_cost(line.config, line.T, profile="cheetah-published", network="wan", output=True)
    assert cost.latency.transfer / 60 / 2 > line.minutes  # even with both directions at once


def test_latency_has_three_terms():
    cost = estimate_cost(gpt2("sm_ln_gelu"), 128, network=Network("given", round_trip=0.01, bandwidth=1e8))
    assert cost.messages is not None
    assert cost.bytes_one_party is not None
    assert cost.latency.rounds == pytest.approx(0.01 * cost.messages)
    assert cost.latency.transfer == pytest.approx(8 * cost.bytes_one_party / 1e8)
    assert cost.latency.compute is None
    assert cost.latency.at_least == pytest.approx(cost.latency.rounds + cost.latency.transfer)
    assert estimate_cost(gpt2("sm_ln_gelu"), 128, profile="cheetah-published").latency.rounds is None
    assert estimate_cost(gpt2("sm_ln_gelu"), 128, network="wan").latency.network == NETWORKS["wan"]


@given(st.integers(1, 3), st.integers(1, 3), st.sampled_from(SCORES), st.sampled_from([1, 2, 4]))
def test_cost_grows_with_depth_context_and_falls_with_packing(L: int, H: int, score: str, packing: int):
    config = PIGPTConfig(n_layer=L, n_head=H, n_embd=8 * H, block_size=32, vocab_size=9, variant="sm_scffn")
    costs = [estimate_cost(config, T, score=score, packing=packing).bytes_both for T in (8, 16, 32)]
    assert all(a < b for a, b in pairwise(costs))
    assert estimate_cost(config, 32, score=score, packing=packing).bytes_both <= estimate_cost(config, 32, score=score).bytes_both
    folds = [estimate_cost(config, 32, score=score, fold=fold).bytes_both for fold in ("none", "fused", "full")]  # type: ignore[arg-type]
    assert folds[0] > folds[1] > folds[2]
    deeper = PIGPTConfig(n_layer=2 * L, n_head=H, n_embd=8 * H, block_size=32, vocab_size=9, variant="sm_scffn")
    assert estimate_cost(deeper, 32, score=score).bytes_both == 2 * estimate_cost(config, 32, score=score).bytes_both


def test_prices_of_single_operations():
    """Measured on small matrices: bytes of one party and messages."""
    prices = load_profile("semi2k-fm64").prices
    measured = [
        (Op("", "product", 1, (16, 8, 12)), 2560, 2),
        (Op("", "attention_product", 4, (16, 8, 12)), 10240, 8),
        (Op("", "relu", 1, (16, 8)), 9216, 8),
        (Op("", "gelu", 1, (16, 8)), 50688, 45),
        (Op("", "softmax", 1, (4, 24)), 66912, 103),
        (Op("", "softmax_rr", 1, (4, 24)), 20164, 95),
        (Op("", "softmax_rr", 1, (4, 128)), 100036, 111),
        (Op("", "layer_norm", 1, (4, 128)), 22228, 32),
        (Op("", "gain", 1, (16, 8)), 512, 1),
    ]
    for op, bytes_, messages in measured:
        price = prices[op.kind]
        assert price.messages is not None
        assert price_of(op, price.bytes) == bytes_
        assert price_of(op, price.messages) == messages


def test_record_and_words_name_profile_and_softmax():
    cost = estimate_cost(block("sm_scfuffn"), 128, **PACKED)  # type: ignore[arg-type]
    record = cost.to_dict()
    assert json.loads(json.dumps(record)) == record
    assert (record["profile"], record["score"]) == ("semi2k-fm64", "softmax_rr")
    assert "semi2k-fm64" in cost.words
    assert "softmax_rr" in cost.words
    assert "offline phase" in cost.notes[0]
    words = compare(cost, cost).to_dict()["words"]
    assert isinstance(words, str)
    assert "semi2k-fm64" in words


@pytest.mark.parametrize("network", ["lan ", "moon"])
def test_unknown_network_is_refused(network: str):
    with pytest.raises(ValueError, match="network must be one of"):
        estimate_cost(block("sm"), 128, network=network)


def test_impossible_links_are_refused():
    with pytest.raises(ValueError, match="bandwidth"):
        Network("x", round_trip=0.1, bandwidth=0)
    with pytest.raises(ValueError, match="round_trip"):
        Network("x", round_trip=-1, bandwidth=1)
