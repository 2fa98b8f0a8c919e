"""What do audits by shadow models show of DP-SGD models whose guarantee is known?

Digits with 10 % random labels, an MLP 64-128-10, DP-SGD in lock-step calibrated to epsilon 1, 2, 4, 8 at delta 1e-5, and no noise at all
(epsilon infinite). For each: the audit of records (64 models, 16 targets) with its bound, its hierarchical posterior and AUC, and the audit
of one mislabeled canary (256 models). Expected: no bound above its claim, bounds that grow with the claim, a large one without noise; a
black box with natural records stays far below the claim. Then 1,000 null audits of each game, in which training ignores the coins: at most
0.05 + 3 standard deviations of positive bounds. Also how many guesses a side show most. About 8 minutes on 2 cores.

Run: python experiments/e_dp_audit.py [--quick]
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.scores import MembershipScores
from attacks.shadow.ensemble import ShadowTrainer
from experiments.results_file import write_results
from mechanisms.accounting.dp_sgd import dp_sgd_noise_multiplier
from mechanisms.errors import WeakEvidenceWarning
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from privacy_audit.audits.records_game import records_bound, targets_of
from privacy_audit.audits.shadow_models import audit_by_shadow_models
from privacy_audit.estimate.one_run import one_run_bound, one_run_guesses
from privacy_audit.report.record import AuditReport

DELTA = 1e-5
RECORDS = 1400
STEPS = 600
RATE = 1 / 15
LR = 0.5
SHARES = (8, 16, 32, 64, 128, 256)

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Config:
    """How much is run."""

    epsilons: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, math.inf)
    n_models: int = 64
    n_canary_models: int = 256
    nulls: int = 1000
    seed: int = 20261124


QUICK = Config(epsilons=(8.0, math.inf), n_models=16, n_canary_models=32, nulls=50)


def digits(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return all 1,797 digits in random order, a tenth of the labels random."""
    images, labels = load_digits(return_X_y=True)
    order = rng.permutation(len(labels))
    images, labels = (images[order] / 16).astype(np.float32), labels[order].copy()
    flipped = rng.random(len(labels)) < 0.1
    labels[flipped] = rng.integers(0, 10, int(flipped.sum()))
    return images, labels


def network() -> nn.Module:
    """An MLP 64-128-10."""
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def trainer(epsilon: float, *, members: float, seed: int) -> ShadowTrainer:
    """Return DP-SGD calibrated to epsilon, plain SGD for an infinite one."""
    settings = {"lr": LR, "steps": STEPS, "sample_rate": RATE, "expected_batch_size": RATE * members, "seed": seed}
    if math.isinf(epsilon):
        return ShadowTrainer(network, **settings)
    noise = dp_sgd_noise_multiplier(epsilon=epsilon, delta=DELTA, sample_rate=RATE, steps=STEPS)
    return ShadowTrainer(network, **settings, noise_multiplier=noise, max_grad_norm=1.0)


def one_epsilon(epsilon: float, config: Config, rng: np.random.Generator) -> list[Row]:
    """Audit models of one claimed epsilon in both games."""
    images, labels = digits(rng)
    claim = PrivacyGuarantee(epsilon, DELTA, Neighboring.ADD_REMOVE, mechanism="DP-SGD")
    data, rest = (images[:RECORDS], labels[:RECORDS]), (images[RECORDS:], labels[RECORDS:])
    started, seed = time.process_time(), int(rng.integers(2**31))
    records = audit_by_shadow_models(
        trainer(epsilon, members=RECORDS / 2, seed=seed), data, delta=DELTA, n_models=config.n_models, claim=claim, population=rest, rng=rng
    )
    middle = time.process_time()
    canary = (images[RECORDS : RECORDS + 1], (labels[RECORDS : RECORDS + 1] + 5) % 10)
    small = (images[:200], labels[:200])
    one = audit_by_shadow_models(
        trainer(epsilon, members=200, seed=seed), small, delta=DELTA, n_models=config.n_canary_models, claim=claim, canary=canary, rng=rng
    )
    shared: Row = {"part": "claimed epsilon", "epsilon": "inf" if math.isinf(epsilon) else epsilon}
    return [
        shared | {"game": "records", "models": config.n_models, "cpu_seconds": middle - started} | _facts(records),
        shared | {"game": "canary", "models": config.n_canary_models, "cpu_seconds": time.process_time() - middle} | _facts(one),
        shared | {"game": "records, guesses a side"} | guess_counts(records),
    ]


def _facts(report: AuditReport) -> Row:
    facts: Row = {"verdict": report.verdict, "bound": report.bound.epsilon, "auc": report.scores.auc}
    if report.posterior is not None:
        low, high = (float(end) for end in report.posterior.interval(0.95))
        facts |= {"posterior_low": low, "posterior_median": float(report.posterior.median), "posterior_high": high}
    if report.membership is not None:
        facts |= {f"auc {name}": scores.auc for name, scores in report.membership.scores.items()}
    return facts


def guess_counts(report: AuditReport) -> Row:
    """Return the bound for other numbers of guesses, each as if it had been fixed in advance."""
    scores, found = report.scores, {}
    for share in SHARES:
        n = len(scores) // share
        guesses, correct = one_run_guesses(scores, n_in=n, n_out=n)
        bound = one_run_bound(n_canaries=len(scores), n_guesses=guesses, n_correct=correct, delta=DELTA)
        found[f"m/{share}"] = bound.epsilon
    return found


def null_records(rng: np.random.Generator) -> bool:
    """Audit training that ignores its part of the data; whether the bound is positive."""
    from privacy_audit.audits.records_game import ShadowSignals
    from privacy_audit.audits.shadow_attacks import attacks_beside

    n_models, n_records = 16, 100
    member = rng.random((n_models, n_records)) < 0.5
    signals = rng.normal(size=n_records) + rng.normal(size=(n_models, 1)) + rng.normal(size=member.shape)
    evidence = ShadowSignals(signals=signals, member=member, population=None, is_target=np.arange(n_models) < targets_of(n_models))
    name, attacks = attacks_beside("bayes_t", with_population=False)
    return records_bound(evidence.scores(attacks[name]), delta=DELTA, level=0.95).epsilon > 0


def null_canary(rng: np.random.Generator) -> bool:
    """Audit a canary that changes nothing; whether the bound is positive."""
    from privacy_audit.estimate.thresholds import audit_scores

    scores = MembershipScores(rng.normal(size=64), rng.random(64) < 0.5)
    return audit_scores(scores, delta=DELTA).epsilon > 0


def nulls(config: Config, rng: np.random.Generator) -> list[Row]:
    """Return the share of positive bounds where nothing leaks."""
    allowed = 0.05 + 3 * math.sqrt(0.05 * 0.95 / config.nulls)
    rows: list[Row] = []
    for name, audit in (("records", null_records), ("canary", null_canary)):
        rate = float(np.mean([audit(child) for child in rng.spawn(config.nulls)]))
        rows.append({"part": "null audits", "game": name, "audits": config.nulls, "positive": rate, "allowed": allowed})
    return rows


def run(config: Config, *, rng: np.random.Generator) -> list[Row]:
    """Return the rows of all claims, then the null audits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeakEvidenceWarning)
        rows = [
            row
            for epsilon, child in zip(config.epsilons, rng.spawn(len(config.epsilons)), strict=True)
            for row in one_epsilon(epsilon, config, child)
        ]
        return rows + nulls(config, rng)


def main() -> None:
    """Run, print the rows, write results/e_dp_audit.jsonl."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="few models; writes nothing")
    config = QUICK if parser.parse_args().quick else Config()
    rows = run(config, rng=np.random.default_rng(config.seed))
    for row in rows:
        print("  ".join(f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()))
    if config is not QUICK:
        print(write_results("e_dp_audit", rows, seed=config.seed, tools=("numpy", "scipy", "torch", "dp-accounting")))


if __name__ == "__main__":
    main()
