"""What the coverage experiment asks of other tools, each in an environment of its own: a program, a question in JSON, an answer in JSON.

`make coverage` makes both environments. An answer holds, for each trial, method -> [low, high or null, CPU seconds].
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from experiments.coverage_rules import LEVEL
from experiments.coverage_settings import Trial

ROOT = Path(__file__).parents[1]
_LONGEST = 3600.0  # seconds for one question
_COMMON = """
import json, sys, time
question = json.load(sys.stdin)
def timed(ask):
    start = time.process_time()
    low, high = ask()
    return [max(0.0, float(low)), None if high is None else float(high), time.process_time() - start]
"""
_JAX = (
    _COMMON
    + """
import numpy as np
from jax_privacy import auditing as a
def ask(case, alpha):
    auditor = a.CanaryScoreAuditor(np.array(case["inside"]), np.array(case["outside"]))
    delta, seed = case["delta"], case["seed"]
    cp = lambda strategy: (lambda: (auditor.epsilon_clopper_pearson(alpha, delta, threshold_strategy=strategy), None))
    asked = {
        "clopper_pearson, Explicit": cp(a.Explicit(case["threshold"])),
        "clopper_pearson, Bonferroni (default)": cp(a.Bonferroni()),
        "clopper_pearson, Split": cp(a.Split(seed=seed)),
        "one_run, Bonferroni (default)": lambda: (auditor.epsilon_one_run(alpha, max(delta, 1e-5)), None),
        "raw_counts": lambda: (auditor.epsilon_raw_counts(delta=delta), None),
    }
    if question["slow"]:
        asked["clopper_pearson, MultiSplit"] = cp(a.MultiSplit(seed=seed))
    if case["gaussian"]:
        asked["from_gdp"] = lambda: (auditor.epsilon_from_gdp(alpha, delta), None)
    if case["gaussian"] and question["slow"]:
        asked["one_run_fdp, Bonferroni (default)"] = lambda: (auditor.epsilon_one_run_fdp(alpha, delta), None)
    return {name: timed(call) for name, call in asked.items()}
print(json.dumps([ask(case, question["alpha"]) for case in question["cases"]]))
"""
)
_ESTIMATES = (
    _COMMON
    + """
from privacy_estimates import compute_eps_lo_hi
from privacy_estimates.utils import AttackResults
def ask(case):
    count = AttackResults(FN=case["fn"], FP=case["fp"], TN=case["tn"], TP=case["tp"])
    return {
        method: timed(lambda: compute_eps_lo_hi(count=count, delta=case["delta"], alpha=2 * question["alpha"], method=method))
        for method in ("beta", "jeffreys")
    }
print(json.dumps([ask(case) for case in question["cases"]]))
"""
)


@dataclass(frozen=True, slots=True)
class Peer:
    """A tool, where it lives, the program that asks it, and what it calls its answers."""

    source: str
    python: Path
    program: str
    kinds: dict[str, str]  # method -> kind


JAX = Peer(
    source="jax-privacy 2.0.0",
    python=ROOT / ".jax-venv" / "bin" / "python",
    program=_JAX,
    kinds={"raw_counts": "called an estimate"},
)
ESTIMATES = Peer(
    source="privacy-estimates 0.1.0.post1",
    python=ROOT / ".bench-venv" / "bin" / "python",
    program=_ESTIMATES,
    kinds={"jeffreys": "called credible"},
)
Answers = list[dict[str, list[float | None]]]


def ask_jax(trials: list[Trial], *, slow: bool) -> Answers:
    """Ask jax-privacy's canary score auditor; its slow methods only if `slow`."""
    cases = [
        {
            "inside": trial.scores.score[trial.scores.member].tolist(),
            "outside": trial.scores.score[~trial.scores.member].tolist(),
            "delta": trial.setting.delta,
            "threshold": trial.setting.threshold,
            "gaussian": trial.setting.gaussian,
            "seed": trial.seed,
        }
        for trial in trials
    ]
    return _ask(JAX, {"alpha": 1 - LEVEL, "cases": cases, "slow": slow})


def ask_estimates(trials: list[Trial]) -> Answers:
    """Ask privacy-estimates for the intervals of counts, by the two of its methods that take less than seconds."""
    cases = [{name: getattr(trial.counts, name) for name in ("tp", "fp", "tn", "fn")} | {"delta": trial.setting.delta} for trial in trials]
    return _ask(ESTIMATES, {"alpha": 1 - LEVEL, "cases": cases})


def _ask(peer: Peer, question: dict[str, object]) -> Answers:
    done = subprocess.run(
        [peer.python, "-W", "ignore", "-c", peer.program],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        timeout=_LONGEST,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{peer.source} failed: {done.stderr.strip().splitlines()[-1]}")
    answers: Answers = json.loads(done.stdout.splitlines()[-1])
    return answers
