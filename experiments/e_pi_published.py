"""Does the profile `cheetah-published` give the published gigabytes and minutes, and what do exact savings give at GPT-2 small?

Part "published": 15 settings of Jha, Reagen 2025 (GPT-2 small shape; T = 128, 256, 512; 18 layers), printed beside the profile's figures.
Expected: within 0.5 % of the gigabytes and 4 % of the minutes; the six prices are the least squares fit that `fit_prices` repeats.
Part "ladder": SM+LN+G down to the folded, packed softmax-only model with joined projections under `semi2k-fm64`, T = 128, without
embedding and output matrix. Expected (both parties): 8.97, 5.92, 4.16, 1.79, then 1.63 and with packing 1.32 GB as long as 1 / sqrt(d_k)
stays at the logits; a fold puts it into W_q, 1.61 and 1.31, and with joined projections 1.25. A second on one core.

Run: python experiments/e_pi_published.py
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.results_file import write_results
from private_inference.config import PIGPTConfig
from private_inference.cost.block_parts import Fold, Scaling
from private_inference.cost.comparison import compare
from private_inference.cost.estimate import CostEstimate, estimate_cost
from private_inference.cost.execution import Projections, SecureScore
from private_inference.cost.program import program_of

Row = dict[str, object]
CODE_VOCABULARY, BOOKS_VOCABULARY = 50257, 16384
PRICED = ("softmax", "product", "gain", "relu", "gelu", "output_product")


@dataclass(frozen=True, slots=True)
class Published:
    """One printed line: gigabytes and minutes of a variant in one setting."""

    variant: str
    n_layer: int
    T: int
    gigabytes: float
    minutes: float

    @property
    def config(self) -> PIGPTConfig:
        """Return the model; the vocabulary is the corpus's."""
        vocabulary = BOOKS_VOCABULARY if self.T == 512 else CODE_VOCABULARY
        return PIGPTConfig(n_layer=self.n_layer, n_head=12, n_embd=768, block_size=512, vocab_size=vocabulary, variant=self.variant)


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the ladder."""

    name: str
    variant: str
    score: SecureScore = "softmax"
    fold: Fold = "none"
    scaling: Scaling | None = None
    packing: int = 1
    projections: Projections = "separate"


@dataclass(frozen=True, slots=True)
class Config:
    """What is printed in the paper, and the ladder."""

    published: tuple[Published, ...] = (
        Published("sm_ln_gelu", 12, 128, 25.32, 8.21),
        Published("sm_ln_relu", 12, 128, 9.44, 6.06),
        Published("sm_scffn", 12, 128, 6.95, 5.68),
        Published("sm_scfuffn", 12, 128, 6.43, 4.76),
        Published("sm_ln_gelu", 12, 256, 58.51, 16.57),
        Published("sm_ln_relu", 12, 256, 26.73, 12.59),
        Published("sm_scffn", 12, 256, 21.77, 11.91),
        Published("sm_scfuffn", 12, 256, 20.72, 10.45),
        Published("sm_ln_gelu", 18, 128, 37.17, 10.77),
        Published("sm_ln_relu", 18, 128, 13.34, 8.04),
        Published("sm_scffn", 18, 128, 9.62, 7.23),
        Published("sm_scfuffn", 18, 128, 8.83, 6.07),
        Published("sm_ln_gelu", 12, 512, 145.24, 30.74),
        Published("sm_ln_relu", 12, 512, 81.71, 23.54),
        Published("sm_scfuffn", 12, 512, 69.68, 19.44),
    )
    ladder: tuple[Rung, ...] = (
        Rung("SM+LN+G", "sm_ln_gelu"),
        Rung("SM+LN+R", "sm_ln_relu"),
        Rung("SM+ScFuFFN", "sm_scfuffn"),
        Rung("+ one reciprocal a row", "sm_scfuffn", "softmax_rr"),
        Rung("+ FFN folded away", "sm_scfuffn", "softmax_rr", "full", "logits"),
        Rung("+ scale folded into W_q", "sm_scfuffn", "softmax_rr", "full"),
        Rung("+ causal packing in 4", "sm_scfuffn", "softmax_rr", "full", None, 4),
        Rung("+ joined projections", "sm_scfuffn", "softmax_rr", "full", None, 4, "joined"),
    )


def run(config: Config) -> list[Row]:
    """Return one row a printed line, then one a rung."""
    return [*(_published_row(line) for line in config.published), *_ladder(config.ladder)]


def fit_prices(lines: tuple[Published, ...]) -> dict[str, dict[str, float]]:
    """Return bytes and seconds an element of each priced kind: least squares of relative errors over the printed lines."""
    features = np.array([_elements(line) for line in lines])
    bytes_ = _least_squares(features, 1e9 * np.array([line.gigabytes for line in lines]))
    seconds = _least_squares(features, 60 * np.array([line.minutes for line in lines]))
    return {kind: {"bytes": float(b), "seconds": float(s)} for kind, b, s in zip(PRICED, bytes_, seconds, strict=True)}


def _elements(line: Published) -> list[float]:
    program = program_of(line.config, line.T)
    ops = (*program.ops, *program.output)
    return [float(sum(op.elements for op in ops if op.kind == kind)) for kind in PRICED]


def _least_squares(features: NDArray[np.float64], printed: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.lstsq(features / printed[:, None], np.ones(len(printed)), rcond=None)[0], dtype=np.float64)


def _published_row(line: Published) -> Row:
    cost = estimate_cost(line.config, line.T, profile="cheetah-published", network="wan", output=True)
    minutes = (cost.published_seconds or 0.0) / 60
    return {
        "part": "published",
        "variant": line.variant,
        "layers": line.n_layer,
        "T": line.T,
        "printed_gb": line.gigabytes,
        "gb": cost.bytes_both / 1e9,
        "printed_minutes": line.minutes,
        "minutes": minutes,
        "minutes_of_transfer_at_100_mbit": cost.latency.transfer / 60,
        "score": cost.score,
        "profile": cost.profile,
    }


def _ladder(rungs: tuple[Rung, ...]) -> list[Row]:
    scores: tuple[SecureScore, ...] = ("softmax", "softmax_rr")
    base = {score: _cost(Rung("", "sm_ln_gelu", score), "lan") for score in scores}
    rows: list[Row] = []
    for rung in rungs:
        lan, wan = _cost(rung, "lan"), _cost(rung, "wan")
        rows.append(
            {
                "part": "ladder",
                "name": rung.name,
                "score": lan.score,
                "gb_both": lan.bytes_both / 1e9,
                "messages": lan.messages,
                "fewer_bytes_than_stock": compare(base["softmax"], lan).bytes_ratio,
                "fewer_bytes_equal_score": compare(base[rung.score], lan).bytes_ratio,
                "lan_seconds": lan.latency.at_least,
                "wan_seconds": wan.latency.at_least,
                "profile": lan.profile,
            }
        )
    return rows


def _cost(rung: Rung, network: str) -> CostEstimate:
    model = PIGPTConfig(n_layer=12, n_head=12, n_embd=768, block_size=128, vocab_size=CODE_VOCABULARY, variant=rung.variant)
    return estimate_cost(
        model,
        128,
        score=rung.score,
        packing=rung.packing,
        projections=rung.projections,
        scaling=rung.scaling,
        fold=rung.fold,
        network=network,
    )


def main() -> None:
    """Run, print a table, write results/e_pi_published.jsonl."""
    config = Config()
    rows = run(config)
    for row in rows:
        print("  ".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    for kind, prices in fit_prices(config.published).items():
        print(f"{kind}: {prices['bytes']:.4g} bytes and {prices['seconds']:.4g} seconds an element")
    print(write_results("e_pi_published", rows, seed=None, tools=("numpy",)))


if __name__ == "__main__":
    main()
