"""Cost from prices: measured blocks, predictions for GPT-2 small, published tables, and ratios that are refused."""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.e_pi_published import CODE_VOCABULARY, Config, Published, fit_prices
from private_inference.config import PIGPTConfig
from private_inference.cost.census import census
from private_inference.cost.comparison import compare
from private_inference.cost.estimate import estimate_cost
from private_inference.cost.execution import SCORES
from private_inference.cost.network import NETWORKS, Network
from private_inference.cost.operations import Op
from private_inference.cost.profile import price_of
from private_inference.cost.profile_file import load_profile
from private_inference.folding.fold import fold
from tests.private_inference.small_models import config_of, random_model

PUBLISHED = Config().published


def block(variant: str, **fields: object) -> PIGPTConfig:
    shape = {"n_layer": 1, "n_head": 4, "n_embd": 128, "block_size": 128, "vocab_size": 512}
    return PIGPTConfig(**{**shape, "variant": variant, **fields})  # type: ignore[arg-type]


def gpt2(variant: str) -> PIGPTConfig:
    return block(variant, n_layer=12, n_head=12, n_embd=768, block_size=512, vocab_size=CODE_VOCABULARY)


FOLDED = {"score": "softmax_rr", "fold": "full"}
PACKED = {**FOLDED, "packing": 4}
AT_LOGITS = {"scaling": "logits"}  # as the measured blocks had it; a fold puts 1 / sqrt(d_k) into W_q
MEASURED = [  # bytes and messages sent by one party, e_pi_engine.py: d = 128, H = 4, T = 128 and d = 64, H = 2, T = 32
    ("sm_ln_gelu", {}, (77_903_104, 257), (5_567_808, 233)),
    ("sm_ln_relu", {}, (56_669_440, 220), (2_913_600, 196)),
    ("sm_ln", {}, (51_950_848, 212), (2_323_776, 188)),
    ("sm_scfuffn", {}, (48_955_392, 148), (1_820_672, 124)),
    ("sm_scfuffn", {"score": "softmax_rr"}, (16_081_408, 140), (814_144, 116)),
    ("sm_attention_only", {"score": "softmax_rr"}, (15_622_656, 136), (740_416, 112)),
    ("sm_attention_only", {"score": "softmax_rr", "packing": 4, "packing_layout": "one_by_one"}, (10_904_064, 496), (629_824, 400)),
    ("sm_ln_gelu", {"score": "softmax_rr"}, (45_029_120, 249), (4_561_280, 225)),
    ("sm_attention_only", {"score": "softmax_rr", "packing": 4, "packing_layout": "at_once"}, (10_904_064, 184), (629_824, 136)),
    ("sm_attention_only", {"score": "softmax_rr", "packing": 8, "packing_layout": "at_once"}, (10_576_384, 248), (668_736, 168)),
    ("sm_gelu", {}, (76_480_512, 193), (5_376_000, 169)),
    ("sm_relu", {}, (55_246_848, 156), (2_721_792, 132)),
    ("sm", {}, (50_528_256, 148), (2_131_968, 124)),
    ("sm_scffn", {}, (50_659_328, 150), (2_148_352, 126)),
    ("sm_scfuffn", {"packing": 2}, (37_404_672, 276), (1_472_000, 228)),
    ("sm_scfuffn", {"score": "quad2"}, (6_156_800, 69), (507_456, 61)),
    ("sm_scfuffn", {"score": "relu_over_n"}, (8_257_536, 38), (548_864, 30)),
    ("sm_scfuffn", {"score": "sigmoid"}, (42_926_080, 82), (1_632_256, 74)),
    ("sm_scfuffn", {"score": "linear"}, (3_538_944, 30), (401_408, 22)),
    ("sm_attention_only", {"score": "softmax_rr", "packing": 4, "projections": "joined"}, (10_641_920, 180), (597_056, 132)),
    ("sm_attention_only", {"score": "softmax_rr", "scaling": "weights"}, (15_360_512, 135), (732_224, 111)),
    ("sm_attention_only", {"score": "softmax_shift"}, (10_940_928, 80), (597_568, 72)),
]


@pytest.mark.parametrize(("variant", "options", "large", "small"), MEASURED)
def test_measured_blocks_to_the_byte_and_the_message(
    variant: str, options: dict[str, object], large: tuple[int, int], small: tuple[int, int]
):
    for (d, H, T), measured in (((128, 4, 128), large), ((64, 2, 32), small)):
        cost = estimate_cost(block(variant, n_embd=d, n_head=H), T, **options)  # type: ignore[arg-type]
        assert (cost.bytes_sent, cost.messages) == measured
        assert cost.bytes_both == 2 * measured[0]


def test_another_type_of_block_has_another_cost():
    found = {(large, small) for _, _, large, small in MEASURED}
    assert len(found) == len(MEASURED)


@pytest.mark.parametrize(
    ("variant", "options", "gigabytes"),
    [
        ("sm_ln_gelu", {}, "8.97"),
        ("sm_ln_relu", {}, "5.92"),
        ("sm_scfuffn", {}, "4.16"),
        ("sm_scfuffn", {"score": "softmax_rr"}, "1.79"),
        ("sm_scfuffn", {**FOLDED, **AT_LOGITS}, "1.63"),
        ("sm_scfuffn", {**PACKED, **AT_LOGITS}, "1.32"),
        ("sm_scfuffn", FOLDED, "1.61"),
        ("sm_scfuffn", PACKED, "1.31"),
    ],
)
def test_gpt2_small_by_both_parties(variant: str, options: dict[str, str], gigabytes: str):
    assert f"{estimate_cost(gpt2(variant), 128, **options).bytes_both / 1e9:.2f}" == gigabytes  # type: ignore[arg-type]


@pytest.mark.parametrize("score", SCORES)
def test_the_better_layout_is_the_default_where_it_is_allowed(score: str):
    options = {"score": score, "packing": 4}
    chosen, one_by_one = (estimate_cost(gpt2("sm"), 128, **options, packing_layout=layout) for layout in ("auto", "one_by_one"))  # type: ignore[arg-type]
    assert chosen.bytes_both == one_by_one.bytes_both
    assert chosen.messages is not None
    assert one_by_one.messages is not None
    if score == "softmax":
        assert chosen == one_by_one
    else:
        assert chosen.messages < one_by_one.messages
        assert "packing 4 at once" in chosen.words


@pytest.mark.parametrize(("variant", "fold_of_config"), [("sm_scfuffn", "full"), ("sm_ln", "fused")])
def test_a_folded_model_costs_what_its_config_says(variant: str, fold_of_config: str, rng: np.random.Generator):
    config = config_of(variant)
    options = {"score": "softmax_rr", "packing": 3, "projections": "joined", "output": True}
    cost = estimate_cost(fold(random_model(config, rng)), 12, **options)  # type: ignore[arg-type]
    expected = estimate_cost(config, 12, fold=fold_of_config, **options)  # type: ignore[arg-type]
    assert (cost.bytes_sent, cost.messages) == (expected.bytes_sent, expected.messages)


def test_a_product_that_stays_is_paid_for(rng: np.random.Generator):
    model = random_model(config_of("sm_scfuffn"), rng)
    whole, parted = (fold(model, max_condition=limit) for limit in (1e4, 3.0))
    costs = [estimate_cost(folded, 12) for folded in (whole, parted)]
    n = parted.fold_report.products
    assert n > 0
    assert costs[1].bytes_both - costs[0].bytes_both == 2 * n * (8 * (12 * 32 + 32 * 32) + 4 * 12 * 32)
    assert (costs[1].messages or 0) - (costs[0].messages or 0) == 2 * n


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
    assert cost.messages is cost.bytes_sent is None


def test_published_temperatures_by_position_are_in_the_price_of_softmax():
    config = PIGPTConfig(n_layer=12, n_head=12, n_embd=768, block_size=128, vocab_size=CODE_VOCABULARY, variant="sm_t_scfuffn")
    table = dataclasses.replace(config, temperature="position")
    costs = [estimate_cost(model, 128, profile="cheetah-published") for model in (config, table)]
    assert costs[0].bytes_both == costs[1].bytes_both
    by_query, by_logit = (estimate_cost(model, 128) for model in (table, config))  # (T, d) and H of (T, T), 4 bytes each
    assert by_logit.bytes_both - by_query.bytes_both == 2 * 12 * 4 * (12 * 128 * 128 - 128 * 768)


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
    assert cost.bytes_sent is not None
    assert cost.latency.rounds == pytest.approx(0.01 * cost.messages)
    assert cost.latency.transfer == pytest.approx(8 * cost.bytes_sent / 1e8)
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


def test_text_names_every_figure_and_operation():
    config = gpt2("sm_ln_gelu")
    cost, counted = estimate_cost(config, 128, network="wan"), census(config, 128)
    for text, rows in ((str(cost), cost.rows), (str(counted), counted.rows)):
        assert text.startswith("program: sm_ln_gelu, score softmax")
        assert [line.split("  ")[0] for line in text.splitlines()[-len(rows) :]] == [row.name for row in rows]
    assert "messages: 3,468 sent by one party" in str(cost)
    assert "compute unknown (wan, 100 Mbit/s, 80 ms round trip)" in str(cost)


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
