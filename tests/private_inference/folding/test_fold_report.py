from __future__ import annotations

import json
import math

import numpy as np
import pytest

from private_inference.config import VARIANTS
from private_inference.folding.fold import fold
from private_inference.folding.fold_report import FoldReport, LayerFold
from tests.private_inference.small_models import config_of, random_model


def report_of(variant: str, rng: np.random.Generator, **changes: object) -> FoldReport:
    return fold(random_model(config_of(variant, **changes), rng), max_condition=3.5).fold_report


@pytest.mark.parametrize("temperature", ["head", "position"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_reports_fit_80_columns_and_json(variant: str, temperature: str, rng: np.random.Generator):
    report = fold(random_model(config_of(variant, temperature=temperature), rng), max_condition=50).fold_report
    assert max(map(len, str(report).splitlines())) <= 80
    record = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert record["variant"] == variant
    assert len(record["layers"]) == len(report.layers)
    assert report.headline in report._repr_html_()


def test_a_wide_report_fits_too():
    rows = tuple(LayerFold(k, k // 50, 1.234e-100, math.inf, 9.999e-101, True) for k in range(120))
    sentences = ("one d x d product after layer " + ", ".join(map(str, range(120))),)
    report = FoldReport(
        variant="sm", n_layer=120, max_condition=9999.5, layers=rows, products_before=240, products=119, folded=sentences, left=()
    )
    assert max(map(len, str(report).splitlines())) <= 80
    assert report.to_dict()["layers"][0]["running"] == "inf"
    assert str(report).endswith("left:\n  - nothing")


def test_it_says_what_happened(rng: np.random.Generator):
    report = report_of("sm_t_scfuffn", rng)
    assert "the temperature of each head into W_q" in report.folded
    assert report.headline == f"FFN products a token: 6 before, {report.products} left in {len(report.segments)} segments."
    assert any("d x d product after layer" in sentence for sentence in report.left)
    assert "gain and bias of each LayerNorm into the matrices that follow" in report_of("sm_ln", rng).folded
    assert "the spectral norm of the FFNs into their matrices" in report_of("sm_sn", rng).folded


def test_it_says_that_nothing_folds(rng: np.random.Generator):
    assert report_of("sm_relu", rng).headline == "No FFN folds away: 12 matrix products a token stay."
    assert report_of("sm_attention_only", rng).headline == "There is no FFN to fold away."
    assert report_of("sm_ln", rng).headline == "FFN products a token: 12 before, 6 left."


def test_bits_lost_are_those_of_the_worst_basis(rng: np.random.Generator):
    report = report_of("sm_scfuffn", rng)
    assert report.bits_lost == pytest.approx(math.log2(max(row.basis for row in report.layers)))
    assert report_of("sm_gelu", rng).bits_lost == 0
