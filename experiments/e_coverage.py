"""How often is each estimator of the field right, how much does it find, and what does it cost?

Known mechanisms (randomized response, Laplace, Gaussian, no leak) are audited with 1,000 canaries. The same scores go to all: ours, the
installable peers' (jax-privacy, privacy-estimates, each in an environment of its own) and re-expressed rules of TensorFlow Privacy,
PrivacyGuard and ML Privacy Meter. (The joint methods of privacy-estimates are our posterior, at seconds to minutes a call, see
bench_posterior.py.) Coverage is the share of audits whose lower end at level 0.95 is at most the true epsilon.
Expected: methods of kind "bound" at 0.95 or above but for 3 standard deviations; the best of all thresholds or guess counts, unpaid for,
below; credible lower ends below on the corner of the privacy region (Zanella-Beguelin et al., ICML 2023, call the intervals Bayesian).
Sequential (Ville): a true claim is ever rejected in at most 0.05 + 3 sd of 2,000 streams; truth 2 against claim 1 stops at a median <= 120.
Seconds are CPU seconds of one call. About 5 minutes on 2 cores.

Run: make coverage
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.coverage_peers import ESTIMATES, JAX, ask_estimates, ask_jax
from experiments.coverage_picture import draw
from experiments.coverage_rules import LEVEL, rules
from experiments.coverage_settings import SETTINGS, trials
from experiments.results_file import RESULTS, write_results
from privacy_audit.estimate.sequential import SequentialAuditor
from privacy_audit.estimate.streams.betting import LogBets, log_wealth

Row = dict[str, object]
_TOLERANCE = 1e-6  # of root finding, ours and theirs


@dataclass(frozen=True, slots=True)
class Config:
    """How much is run."""

    runs_per_block: int = 50
    blocks: int = 6
    slow_blocks: int = 2
    n_canaries: int = 1000
    streams: int = 2000
    steps: int = 4000
    stops: int = 500
    seed: int = 20261123
    workers: int = 2


QUICK = Config(runs_per_block=5, blocks=2, slow_blocks=1, streams=200, steps=500, stops=50)


def run(config: Config, *, rng: np.random.Generator) -> list[Row]:
    """Run everything and return one row per setting and method, then those of the sequential checks."""
    tasks = [(who, i, block) for block in range(config.blocks) for i in range(len(SETTINGS)) for who in ("ours", "jax", "estimates")]
    found: dict[tuple[int, str, str, str], list[list[float | None]]] = defaultdict(list)
    with ProcessPoolExecutor(config.workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        for done, outcome in enumerate(pool.map(_block, [(config, *task) for task in tasks]), start=1):
            for key, answer in outcome:
                found[key].append(answer)
            print(f"\r{done} of {len(tasks)} blocks", end="", flush=True)
    print()
    rows = [_summary(key, answers) for key, answers in sorted(found.items(), key=lambda item: item[0][0])]
    return [*rows, *_sequential(config, rng)]


def _one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"


def _block(task: tuple[Config, str, int, int]) -> list[tuple[tuple[int, str, str, str], list[float | None]]]:
    """Return ((setting, method, source, kind), [low, high, seconds]) of every audit of a block."""
    config, who, index, block = task
    audits = trials(SETTINGS[index], block, runs=config.runs_per_block, n=config.n_canaries, seed=config.seed)
    slow = block < config.slow_blocks
    if who == "ours":
        return [
            ((index, rule.name, rule.source, rule.kind), _timed(rule, audit))
            for rule in rules()
            if rule.applies(SETTINGS[index]) and (slow or not rule.slow)
            for audit in audits
        ]
    if who == "jax":
        peer, answers = JAX, ask_jax(audits, slow=slow)
    else:
        peer, answers = ESTIMATES, ask_estimates(audits)
    return [
        ((index, method, peer.source, peer.kinds.get(method, "called a bound")), values)
        for answer in answers
        for method, values in answer.items()
    ]


def _timed(rule: object, audit: object) -> list[float | None]:
    start = time.process_time()
    low, high = rule.ask(audit)
    return [low, high, time.process_time() - start]


def _summary(key: tuple[int, str, str, str], answers: list[list[float | None]]) -> Row:
    index, method, source, kind = key
    setting, n = SETTINGS[index], len(answers)
    low = np.array([answer[0] for answer in answers], dtype=np.float64)
    width = [answer[1] - answer[0] for answer in answers if answer[1] is not None and math.isfinite(answer[1])]
    coverage = float((low <= setting.epsilon + _TOLERANCE).mean())
    return {
        "setting": setting.name,
        "epsilon": setting.epsilon,
        "delta": setting.delta,
        "method": method,
        "source": source,
        "kind": kind,
        "runs": n,
        "coverage": coverage,
        "falls_short": coverage < LEVEL - 3 * math.sqrt(LEVEL * (1 - LEVEL) / n),
        "mean": float(low.mean()),
        "gap": float(setting.epsilon - low.mean()),
        "width": float(np.mean(width)) if width else None,
        "seconds": float(np.median([answer[2] for answer in answers])),
    }


def _sequential(config: Config, rng: np.random.Generator) -> list[Row]:
    """Return how often true claims are ever rejected, and how soon a false one is."""
    allowed = 1 - LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / config.streams)
    rows: list[Row] = []
    for delta in (0.0, 0.1):
        fpr = 0.2 if delta else 1 / (1 + math.e)  # on the corner; on the edge of the region
        crossed = sum(_ever_rejected(config.steps, fpr, math.e * fpr + delta, delta, rng) for _ in range(config.streams // 100))
        rows.append({"check": "a true claim is ever rejected", "claim": 1.0, "delta": delta, "rate": crossed / config.streams})
        rows[-1] |= {"streams": config.streams, "steps": config.steps, "allowed": allowed}
    stops = []
    for _ in range(config.stops):
        auditor = SequentialAuditor(epsilon=1.0, delta=0.0)
        bit = rng.random(config.steps) < 0.5
        auditor.update(bit, bit == (rng.random(config.steps) < 1 / (1 + math.exp(-2.0))))
        stops.append(auditor.rejected_at or math.inf)
    row = {"check": "trials until claim 1 is rejected, truth 2", "claim": 1.0, "delta": 0.0, "median": float(np.median(stops))}
    return [*rows, row | {"streams": config.stops, "rejected": int(np.isfinite(stops).sum()), "allowed": 120}]


def _ever_rejected(steps: int, fpr: float, tpr: float, delta: float, rng: np.random.Generator) -> int:
    """Return how many of 100 streams on the boundary of the claim (1, delta) are rejected at any time."""
    bit = rng.random((100, steps)) < 0.5
    guess = rng.random((100, steps)) < np.where(bit, tpr, fpr)
    hits, alarms = np.cumsum(bit & guess, axis=1), np.cumsum(~bit & guess, axis=1)
    wealth = log_wealth(LogBets.against(1.0, delta), hits, alarms, np.arange(1, steps + 1) - hits - alarms)
    return int((wealth.max(axis=1) >= -math.log(1 - LEVEL)).sum())


def main() -> None:
    """Run, print, write results/e_coverage.jsonl and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="a few runs of each case; writes nothing")
    config = QUICK if parser.parse_args().quick else Config()
    missing = [peer.source for peer in (JAX, ESTIMATES) if not peer.python.exists()]
    if missing:
        sys.exit(f"the environment of {' and '.join(missing)} is missing; run `make coverage`")
    start = time.perf_counter()
    rows = run(config, rng=np.random.default_rng(config.seed))
    for row in rows:
        if "check" in row:
            print({name: value for name, value in row.items() if value is not None})
            continue
        width = "" if row["width"] is None else f"width {row['width']:6.3f}"
        text = f"{row['setting']:24} {row['source'][:26]:26} {row['method']:38} {row['kind']:15} {row['runs']:4}"
        print(f"{text}  coverage {row['coverage']:.3f}{'!' if row['falls_short'] else ' '} mean {row['mean']:6.3f} {width}")
    print(f"{time.perf_counter() - start:.0f} s")
    if config is not QUICK:
        path = write_results("e_coverage", rows, seed=config.seed, tools=("privacy-audit", "numpy", "scipy"))
        draw([row for row in rows if "check" not in row], RESULTS / "e_coverage.svg")
        print(path)


if __name__ == "__main__":
    main()
