"""How fast and how exact is the epsilon posterior, next to the published tool of Zanella-Beguelin et al. (ICML 2023)?

Both compute the 5 % and 95 % quantiles of the same posterior (two independent Jeffreys Beta rates). The peer is `privacy-estimates` from
the package index, in an environment of its own (`make bench` makes it), one fresh process a case with a time limit; only its call is
timed, imports are not. Ours is timed warm, the median of `repeats` calls. Expected: at least 1,000 times faster wherever the peer
finishes; quantiles as far apart as the peer's tolerance, 0.01, allows. About ten minutes, nearly all of it the peer.

Run: python experiments/bench_posterior.py
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from attacks.scores import AttackCounts
from experiments.results_file import write_results
from privacy_audit.estimate.posterior import EpsilonPosterior

ROOT = Path(__file__).parents[1]
PEER_PYTHON = ROOT / ".bench-venv" / "bin" / "python"
PEER = """
import json, sys, time
from importlib.metadata import version
from privacy_estimates import compute_eps_lo_hi
from privacy_estimates.utils import AttackResults
case = json.load(sys.stdin)
count = AttackResults(FN=case["fn"], FP=case["fp"], TN=case["tn"], TP=case["tp"])
start = time.perf_counter()
low, high = compute_eps_lo_hi(count=count, delta=case["delta"], alpha=1 - case["level"], method="joint-beta")
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "low": float(low), "high": float(high), "version": version("privacy-estimates")}))
"""

# fp, tn, fn, tp, delta: the reference rows of the tests, then larger ones
CASES = (
    (3, 97, 40, 60, 0.0),
    (0, 100, 0, 100, 1e-5),
    (50, 950, 600, 400, 1e-2),
    (50, 9950, 6000, 4000, 1e-5),
    (5000, 5000, 5000, 5000, 1e-2),
    (500, 99_500, 60_000, 40_000, 1e-5),
    (100_000, 900_000, 700_000, 300_000, 1e-6),
    (512, 1, 0, 487, 1e-5),
)


@dataclass(frozen=True, slots=True)
class Config:
    """What to time, and how long to wait for the peer (seconds)."""

    level: float = 0.9
    repeats: int = 30
    peer_limit: float = 300.0
    peer_total: float = 660.0
    many: int = 1000
    seed: int = 0


def run(config: Config, *, rng: np.random.Generator) -> list[dict[str, object]]:
    """Return one row per case, then the rows of many counts at once, which the peer has no call for."""
    rows, left = [], config.peer_total
    for case in CASES:
        row = _ours(case, config)
        start = time.perf_counter()
        row |= _peer(case, config.level, min(config.peer_limit, left))
        left -= time.perf_counter() - start
        if row["peer_seconds"] is not None:
            row["ratio"] = float(row["peer_seconds"]) / float(row["seconds"])
            row["difference"] = max(abs(row["low"] - row["peer_low"]), abs(row["high"] - row["peer_high"]))
        rows.append(row)
        print(_line(row), flush=True)
    return [*rows, *_many(config, rng)]


def _ours(case: tuple[int, int, int, int, float], config: Config) -> dict[str, object]:
    fp, tn, fn, tp, delta = case

    def interval() -> np.ndarray:
        return EpsilonPosterior(AttackCounts(fp=fp, tn=tn, fn=fn, tp=tp), delta=delta).interval(config.level)

    low, high = interval()
    seconds = _median_seconds(interval, config.repeats)
    return {"fp": fp, "tn": tn, "fn": fn, "tp": tp, "delta": delta, "low": float(low), "high": float(high), "seconds": seconds}


def _peer(case: tuple[int, int, int, int, float], level: float, limit: float) -> dict[str, object]:
    """Run the peer in a process of its own; a failure or a time-out is told, not hidden."""
    nothing: dict[str, object] = {"peer_seconds": None, "peer_low": None, "peer_high": None}
    if limit < 1:
        return nothing | {"peer": "not run: the time for the peer was used up"}
    question = json.dumps(dict(zip(("fp", "tn", "fn", "tp", "delta"), case, strict=True)) | {"level": level})
    try:
        done = subprocess.run([PEER_PYTHON, "-W", "ignore", "-c", PEER], input=question, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return nothing | {"peer": f"no result within {limit:.0f} s"}
    if done.returncode != 0:
        return nothing | {"peer": f"failed: {done.stderr.strip().splitlines()[-1]}"}
    answer = json.loads(done.stdout.splitlines()[-1])
    return {
        "peer": f"privacy-estimates {answer['version']}",
        "peer_seconds": answer["seconds"],
        "peer_low": answer["low"],
        "peer_high": answer["high"],
    }


def _many(config: Config, rng: np.random.Generator) -> list[dict[str, object]]:
    """Time 1,000 random counts with three quantiles each, and the intervals at 1,000 thresholds of one data set."""
    n = rng.integers(50, 5000, config.many)
    fp, fn = rng.binomial(n, rng.random(config.many)), rng.binomial(n, rng.random(config.many))
    member, other = (np.sort(rng.standard_normal(1000) + shift) for shift in (1.0, 0.0))
    thresholds = np.quantile(np.concatenate([member, other]), np.linspace(0, 1, config.many))
    above_member, above_other = (1000 - np.searchsorted(side, thresholds) for side in (member, other))
    tasks = {
        "three quantiles of many random counts": ({"tp": n - fn, "fp": fp, "tn": n - fp, "fn": fn}, lambda law: law.ppf([0.05, 0.5, 0.95])),
        "intervals at many thresholds of one data set": (
            {"tp": above_member, "fp": above_other, "tn": 1000 - above_other, "fn": 1000 - above_member},
            lambda law: law.interval(config.level),
        ),
    }
    rows: list[dict[str, object]] = []
    for task, (counts, ask) in tasks.items():
        for delta in (0.0, 1e-5):
            seconds = _median_seconds(
                lambda counts=counts, ask=ask, delta=delta: ask(EpsilonPosterior.from_arrays(**counts, delta=delta)), 5
            )
            rows.append({"task": task, "n_counts": config.many, "delta": delta, "seconds": seconds})
            print(f"{task}: {config.many} counts, delta {delta:g}: {seconds:.3f} s", flush=True)
    return rows


def _median_seconds(call, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _line(row: dict[str, object]) -> str:
    counts = "/".join(str(row[name]) for name in ("fp", "tn", "fn", "tp"))
    start = f"{counts:>30} {row['delta']:8g}  [{row['low']:.6f}, {row['high']:.6f}] {1e3 * row['seconds']:8.2f} ms"
    if row["peer_seconds"] is None:
        return f"{start}   peer: {row['peer']}"
    return f"{start} {row['peer_seconds']:10.2f} s {row['ratio']:12,.0f} x {row['difference']:10.4f}"


def main() -> None:
    """Run, print, write results/bench_posterior.jsonl."""
    if not PEER_PYTHON.exists():
        sys.exit("the peer's environment is missing; run `make bench`")
    config = Config()
    print(f"{'fp/tn/fn/tp':>30} {'delta':>8}  {'interval at 90 %':22} {'ours':>10} {'peer':>12} {'ratio':>14} {'difference':>10}")
    rows = run(config, rng=np.random.default_rng(config.seed))
    path = write_results("bench_posterior", rows, seed=config.seed, tools=("privacy-audit", "numpy", "scipy"))
    print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
