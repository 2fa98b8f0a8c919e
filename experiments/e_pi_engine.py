"""What does each attention variant cost under a real secure-computation engine, and does the cost model say the same?

One block with secret weights and secret input, two parties and a dealer (SEMI2K of SPU 0.9.5, 64-bit ring, 18 after the point): bytes and
messages sent by one party in the online phase, the same by `estimate_cost`, and how far the output is from torch. Weights Normal(0, 0.05),
inputs Normal(0, 1), every matrix drawn anew; bytes depend on shapes alone. Expected at d = 128, 4 heads, 128 positions: 77.903 MB for
SM+LN+G, 56.669 for SM+LN+R, 51.951 for SM+LN, 48.955 for SM+ScFuFFN, 16.081 with a reciprocal a row, 15.623 for attention alone, 10.904
packed in 4, 45.029 for SM+LN+G with a reciprocal a row; messages 257, 220, 212, 148, 140, 136, 496 (one by one; 184 at once) and 249;
estimates equal to the byte and the message. Then whole small models with their logits, one of them folded with boundaries between segments,
and other protocols, for which there is no estimate. About 5 minutes.

Run: make pi-engine; python experiments/e_pi_engine.py [--quick]
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.results_file import write_results
from private_inference.config import PIGPTConfig
from private_inference.cost.estimate import CostEstimate, estimate_cost
from private_inference.cost.execution import PackingLayout, Projections, SecureScore
from private_inference.cost.public_shift import calibrate_public_shift
from private_inference.engine.measure import MeasuredCost, measure_cost
from private_inference.engine.question import Protocol
from private_inference.folding.fold import fold
from private_inference.gpt import PIGPT

Row = dict[str, object]
Shape = tuple[int, int, int]  # width, heads, positions


@dataclass(frozen=True, slots=True)
class Case:
    """A block type; `megabytes` and `messages` are expected at width 128, 4 heads and 128 positions."""

    name: str
    variant: str
    score: SecureScore = "softmax"
    packing: int = 1
    packing_layout: PackingLayout = "one_by_one"
    projections: Projections = "separate"
    megabytes: float | None = None
    messages: int | None = None

    def estimated(self, model: PIGPTConfig, T: int) -> CostEstimate:
        """Return the estimate for blocks of a model, not folded, without its output matrix."""
        return estimate_cost(
            model, T, score=self.score, packing=self.packing, packing_layout=self.packing_layout, projections=self.projections
        )


CASES = (
    Case("SM+LN+G", "sm_ln_gelu", megabytes=77.903, messages=257),
    Case("SM+LN+R", "sm_ln_relu", megabytes=56.669, messages=220),
    Case("SM+LN", "sm_ln", megabytes=51.951, messages=212),
    Case("SM+ScFuFFN", "sm_scfuffn", megabytes=48.955, messages=148),
    Case("SM+ScFuFFN, a reciprocal a row", "sm_scfuffn", "softmax_rr", megabytes=16.081, messages=140),
    Case("attention only, a reciprocal a row", "sm_attention_only", "softmax_rr", megabytes=15.623, messages=136),
    Case("attention only, a reciprocal a row, 4 pieces", "sm_attention_only", "softmax_rr", 4, megabytes=10.904, messages=496),
    Case("SM+LN+G, a reciprocal a row", "sm_ln_gelu", "softmax_rr", megabytes=45.029, messages=249),
    Case("attention only, a reciprocal a row, 4 pieces at once", "sm_attention_only", "softmax_rr", 4, "at_once", "separate", 10.904, 184),
    Case("attention only, a reciprocal a row, 8 pieces at once", "sm_attention_only", "softmax_rr", 8, "at_once"),
    Case("SM+G", "sm_gelu"),
    Case("SM+R", "sm_relu"),
    Case("SM", "sm"),
    Case("SM+ScFFN", "sm_scffn"),
    Case("SM+ScFuFFN, 2 pieces", "sm_scfuffn", "softmax", 2),
    Case("SM+ScFuFFN, quadratic score", "sm_scfuffn", "quad2"),
    Case("SM+ScFuFFN, ReLU over n", "sm_scfuffn", "relu_over_n"),
    Case("SM+ScFuFFN, sigmoid", "sm_scfuffn", "sigmoid"),
    Case("SM+ScFuFFN, linear score", "sm_scfuffn", "linear"),
    Case("attention only, a reciprocal a row, 4 at once, joined", "sm_attention_only", "softmax_rr", 4, "at_once", "joined"),
)
WHOLE_MODELS = (CASES[0], CASES[4])
FOLDED = Case("SM+ScFuFFN folded, public shift, 4 at once, joined", "sm_scfuffn", "softmax_shift", 4, "at_once", "joined")


@dataclass(frozen=True, slots=True)
class Config:
    """How much is run."""

    shapes: tuple[Shape, ...] = ((128, 4, 128), (64, 4, 64), (64, 2, 32), (32, 4, 64), (32, 4, 32))
    model_layers: tuple[int, ...] = (2, 4)
    max_condition: float = 4.0  # so small that segments end inside the model
    other_protocols: tuple[Protocol, ...] = ("ABY3", "CHEETAH")
    seed: int = 20261201


QUICK = Config(shapes=((32, 4, 32),), model_layers=(2,), other_protocols=("ABY3",))


def run(config: Config, *, rng: np.random.Generator) -> list[Row]:
    """Return one row a measurement."""
    rows = [measured_block(case, shape, "SEMI2K", rng) for shape in config.shapes for case in CASES]
    rows += [measured_model(case, layers, rng) for layers in config.model_layers for case in WHOLE_MODELS]
    rows += [measured_fold(FOLDED, layers, config.max_condition, rng) for layers in config.model_layers]
    small = config.shapes[-1]
    return rows + [measured_block(case, small, protocol, rng) for protocol in config.other_protocols for case in WHOLE_MODELS]


def measured_block(case: Case, shape: Shape, protocol: Protocol, rng: np.random.Generator) -> Row:
    """Return one block's cost."""
    d, _, length = shape
    model = model_of(case, shape, 1, rng)
    x = torch.from_numpy(rng.normal(size=(length, d)).astype(np.float32))
    cost = measure_cost(
        model.blocks[0],  # type: ignore[arg-type]
        x,
        score=case.score,
        packing=case.packing,
        packing_layout=case.packing_layout,
        projections=case.projections,
        protocol=protocol,
    )
    expected = {"expected_megabytes": case.megabytes, "expected_messages": case.messages} if shape == (128, 4, 128) else {}
    estimate = case.estimated(model.config, length) if protocol == "SEMI2K" else None
    return row_of(case, cost, estimate) | expected


def measured_model(case: Case, n_layer: int, rng: np.random.Generator) -> Row:
    """Return the cost of a whole model with its logits, 64 wide, 64 positions, 512 tokens."""
    model = model_of(case, (64, 4, 64), n_layer, rng)
    cost = measure_cost(model, ids_of(rng), score=case.score, output=True)
    return row_of(case, cost, estimate_cost(model, 64, score=case.score, output=True))


def measured_fold(case: Case, n_layer: int, max_condition: float, rng: np.random.Generator) -> Row:
    """Return the cost of the same kind of model, folded, with public shifts from other sequences."""
    model = model_of(case, (64, 4, 64), n_layer, rng)
    shift = calibrate_public_shift(model, torch.stack([ids_of(rng) for _ in range(8)]))
    folded, ids = fold(model, max_condition=max_condition), ids_of(rng)
    cost = measure_cost(folded, ids, score=case.score, packing=case.packing, projections=case.projections, output=True, shift=shift)
    estimate = estimate_cost(folded, 64, score=case.score, packing=case.packing, projections=case.projections, output=True)
    return row_of(case, cost, estimate) | {"products_left": folded.fold_report.products}


def ids_of(rng: np.random.Generator) -> torch.Tensor:
    """Return one sequence."""
    return torch.from_numpy(rng.integers(0, 512, size=64))


def model_of(case: Case, shape: Shape, n_layer: int, rng: np.random.Generator) -> PIGPT:
    """Return a model with weights as drawn."""
    d, n_head, length = shape
    return PIGPT(PIGPTConfig(n_layer, n_head, d, length, 512, variant=case.variant, init_std=0.05), rng=rng)


def row_of(case: Case, cost: MeasuredCost, estimate: CostEstimate | None) -> Row:
    """Return the row, and say it."""
    row: Row = {"name": case.name, "variant": case.variant, **cost.to_dict()}
    beside = "no estimate"
    if estimate is not None:
        assert estimate.bytes_sent is not None
        assert estimate.messages is not None
        ratios = estimate.bytes_sent / cost.bytes_sent, estimate.messages / cost.messages
        row |= {"estimated_bytes_sent": estimate.bytes_sent, "estimated_messages": estimate.messages}
        row |= {"estimated_over_measured_bytes": ratios[0], "estimated_over_measured_messages": ratios[1]}
        beside = f"estimate {estimate.bytes_sent / 1e6:.3f} MB ({ratios[0]:.4f} x), {estimate.messages} ({ratios[1]:.4f} x)"
    print(
        f"{case.name:54} {cost.protocol:8} L={cost.n_layer} d={cost.n_embd:3} T={cost.T:3} {cost.bytes_sent / 1e6:9.3f} MB "
        f"{cost.messages:6} messages, {beside}, {cost.seconds:7.2f} s, off by {cost.largest_difference:.1e}",
        flush=True,
    )
    return row


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smallest shape only; writes nothing")
    quick = parser.parse_args().quick
    config = QUICK if quick else Config()
    rows = run(config, rng=np.random.default_rng(config.seed))
    if not quick:
        write_results("e_pi_engine", rows, seed=config.seed, tools=("torch", "numpy"))


if __name__ == "__main__":
    main()
