"""What it costs to watch the heads: an EntropyTracker update every 50 steps, beside training's steps.

Toy size (4 layers, 4 heads, d = 64, T = 64, batch 8, V = 512), one thread. Timed in turns, so that a busy machine slows all alike, minimum
of the repeats: a training step (cross-entropy through the fused kernel, backward, clipping, AdamW); the same step with the entropy penalty,
which takes the unfused forward; the unfused forward on one batch without gradients; and the update itself, which reads theta, t, alpha and
beta. A share is (forward + update) / (50 steps). Expected: below 5 % of training's time. One minute.

Run: python experiments/bench_entropy_tracking.py
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.results_file import write_results
from mechanisms.randomness import as_generator
from private_inference.config import PIGPTConfig
from private_inference.gpt import PIGPT
from private_inference.heads.guided_loss import GuidedLoss
from private_inference.heads.penalty import EntropyPenalty
from private_inference.heads.tracker import EntropyTracker

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Config:
    """What to time."""

    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 64
    T: int = 64
    batch: int = 8
    vocab_size: int = 512
    every: int = 50
    repeats: int = 200
    seed: int = 0


def run(config: Config) -> list[Row]:
    """Return one row of milliseconds and shares per variant."""
    return [_variant(variant, config) for variant in ("sm_ln_gelu", "sm_scfuffn", "sm_t_scfuffn")]


def _variant(variant: str, config: Config) -> Row:
    shape = PIGPTConfig(config.n_layer, config.n_head, config.n_embd, config.T, config.vocab_size, variant=variant, init_std=0.05)
    model, penalty = PIGPT(shape, rng=config.seed), EntropyPenalty(config.n_layer, config.n_head)
    net, tracker, steps = GuidedLoss(model, penalty), EntropyTracker(), itertools.count()
    drawn = as_generator(config.seed).integers(config.vocab_size, size=(config.batch, config.T + 1))
    ids, targets = torch.from_numpy(drawn[:, :-1]).contiguous(), torch.from_numpy(drawn[:, 1:]).contiguous()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = net(ids, targets).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        return loss

    def watch() -> Tensor:
        with torch.no_grad():
            return model(ids, return_entropy=True)[1]

    rows = watch()
    parts: dict[str, Callable[[], object]] = {
        "step": lambda: (net.eval(), step()),
        "guided step": lambda: (net.train(), step()),
        "forward": watch,
        "update": lambda: tracker.update(next(steps), rows, model=model, penalty=penalty),
    }
    ms = _best_in_turns(parts, config.repeats)
    once = ms["forward"] + ms["update"]
    shares = {f"share of {name}s": once / (config.every * ms[name]) for name in ("step", "guided step")}
    return {"variant": variant, "every": config.every, **{f"{name} ms": value for name, value in ms.items()}, **shares}


def _best_in_turns(parts: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(repeats):
        for name, call in parts.items():
            started = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - started)
    return {name: 1e3 * min(values) for name, values in times.items()}


def main() -> None:
    """Run, print the rows, write results/bench_entropy_tracking.jsonl."""
    torch.set_num_threads(1)
    config = Config()
    rows = run(config)
    for row in rows:
        print("  ".join(f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()))
    print(write_results("bench_entropy_tracking", rows, seed=config.seed, tools=("numpy", "torch")))


if __name__ == "__main__":
    main()
