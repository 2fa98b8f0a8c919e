"""Do the conformance tests find planted bugs, and do they leave sound engines alone?

Expected: each bug found by the right test in at least 18 of 19 real Opacus runs; false alarms at level 0.95 at most 0.05 + 3 standard
deviations over at least 400 simulated and 50 real clean runs. Also measured: the coverage of the intervals behind the corners, and the AUC
of clean runs. About 8 minutes on 2 cores.

Run: python experiments/e_conformance.py [--quick]
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.canaries.engine import EngineFacts
from attacks.canaries.likelihood import simulate_signals
from attacks.canaries.probe import CanaryProbe
from attacks.canaries.result import BatchLog, CanaryResult, ClaimedRun
from experiments.planted_engine import FOUND_BY, RECORDS, Setting, setting_for, train
from experiments.results_file import write_results
from privacy_audit.estimate.conformance import check_conformance, parameter_intervals

STEPS = 200
RATE = 1 / 15


@dataclass(frozen=True, slots=True)
class Config:
    """How much is run."""

    runs_per_bug: int = 19
    simulated: int = 400
    clean_sgd: int = 50
    clean_other: int = 10
    n_canaries: int = 1000
    level: float = 0.95
    seed: int = 20261123
    workers: int = 2


QUICK = Config(runs_per_bug=2, simulated=20, clean_sgd=2, clean_other=1)


def simulated_run(rng: np.random.Generator, *, n_canaries: int = 1000, noise_multiplier: float = 1.0) -> CanaryResult:
    """Return the signals of an ideal engine, batch log included."""
    member = rng.random(n_canaries) < 0.5
    signals, canary_in = simulate_signals(member, noise_multiplier=noise_multiplier, sample_rate=RATE, steps=STEPS, rng=rng)
    n_records = RECORDS + int(member.sum())
    sizes = canary_in.sum(axis=1) + rng.binomial(RECORDS, RATE, STEPS)
    return CanaryResult(
        signals=signals,
        member=member,
        displacement=signals.sum(axis=0),
        claimed=ClaimedRun(noise_multiplier=noise_multiplier, sample_rate=RATE, steps=STEPS),
        engine=EngineFacts(noise_multiplier, 1.0, n_records * RATE, "mean", RATE, n_records, 15, True, False, "simulated"),
        batch_log=BatchLog(canary_in=canary_in, batch_size=sizes, n_records=n_records),
    )


def real_run(setting: Setting, rng: np.random.Generator, *, n_canaries: int) -> CanaryResult:
    """Train on digits with Opacus and return what the probe saw."""
    import torch

    torch.set_num_threads(1)
    probe = CanaryProbe(n_canaries, rng=rng)
    train(probe, setting)
    return probe.result()


def _one(config: Config, task: tuple[str, Setting | None, np.random.Generator]) -> dict[str, object]:
    name, setting, rng = task
    n = config.n_canaries
    result = simulated_run(rng, n_canaries=n) if setting is None else real_run(setting, rng, n_canaries=n)
    report = check_conformance(result, level=config.level, rng=rng)
    noise, rate = parameter_intervals(result, level=config.level)
    truth = noise[0] <= 1.0 <= noise[1] and rate[0] <= RATE <= rate[1]
    return {
        "case": name,
        "failed": [test.name for test in report.failures],
        "broken": list(report.broken),
        "covered": truth,
        "auc_all_steps": result.scores["all_steps"].auc,
        "auc_final_weights": result.scores["final_weights"].auc,
    }


def run(config: Config, *, rng: np.random.Generator) -> list[dict[str, object]]:
    """Run all cases and return one summary row per case."""
    cases: list[tuple[str, Setting | None]] = [("clean, simulated", None)] * config.simulated
    cases += [("clean, sgd", Setting())] * config.clean_sgd
    cases += [("clean, momentum", Setting(optimizer="momentum"))] * config.clean_other
    cases += [("clean, adam", Setting(optimizer="adam"))] * config.clean_other
    cases += [(bug, setting_for(bug)) for bug in FOUND_BY for _ in range(config.runs_per_bug)]
    tasks = [(name, setting, child) for (name, setting), child in zip(cases, rng.spawn(len(cases)), strict=True)]
    with ProcessPoolExecutor(config.workers, mp_context=get_context("spawn")) as pool:
        outcomes = list(pool.map(partial(_one, config), tasks, chunksize=4))
    return [_summary(name, [row for row in outcomes if row["case"] == name]) for name in dict.fromkeys(name for name, _ in cases)]


def _summary(name: str, rows: list[dict[str, object]]) -> dict[str, object]:
    failed = [set(row["failed"]) for row in rows]
    summary: dict[str, object] = {
        "case": name,
        "runs": len(rows),
        "alarms": sum(bool(tests) for tests in failed),
        "failures": dict(Counter(test for tests in failed for test in tests).most_common()),
        "named": dict(Counter(", ".join(row["broken"]) for row in rows).most_common()),
        "auc_all_steps": float(np.mean([row["auc_all_steps"] for row in rows])),
        "auc_final_weights": float(np.mean([row["auc_final_weights"] for row in rows])),
    }
    if name in FOUND_BY:
        return summary | {"found_by_the_right_test": sum(bool(tests & set(FOUND_BY[name])) for tests in failed)}
    allowed = 0.05 + 3 * math.sqrt(0.05 * 0.95 / len(rows))
    return summary | {
        "alarm_rate": summary["alarms"] / len(rows),
        "allowed": allowed,
        "coverage": float(np.mean([r["covered"] for r in rows])),
    }


def main() -> None:
    """Run, print a table, write results/e_conformance.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="a few runs of each case; writes nothing")
    config = QUICK if parser.parse_args().quick else Config()
    rows = run(config, rng=np.random.default_rng(config.seed))
    for row in rows:
        right = row.get("found_by_the_right_test", "")
        print(f"{row['case']:<30} runs {row['runs']:>4}  alarms {row['alarms']:>4}  right test {right!s:>3}  {row['failures']}")
    if config is not QUICK:
        print(write_results("e_conformance", rows, seed=config.seed, tools=("torch", "opacus", "numpy", "scipy")))


if __name__ == "__main__":
    main()
