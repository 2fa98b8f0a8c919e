"""Does a language model with flat attention memorize less? A membership audit of small models, kind by kind, and at equal perplexity.

Records are 600 sequences of 33 tokens of the standard library's source (512-token BPE). A fair coin puts each of them into each of 16
models a kind (2 layers, 4 heads, d = 64), which see it about 16 times and are read every 30 steps. Kinds: the LayerNorm+GELU baseline;
softmax-only; with a temperature and the entropy penalty; two whose head entropies a strong penalty holds at 0.97 and at 0.3 of the largest,
which differ in nothing but how flat their attention is; and the guided kind under DP-SGD.

Part "kind", at the step of the lowest population loss and at the last one: perplexity of members and of others, mean AUC and TPR at 1 % FPR
of every attack (each model is the target once, the others are its references); of the attack fixed beforehand, `bayes_t`, the bound (a
quarter of the models are targets, named before training; beside it what it would be if every guess were right) and the posterior (threshold
from the first half of the models, counts of the second). Part "equal": perplexity of members, AUC and TPR where the others' perplexity is
what every kind reaches without DP, and paired differences to the baseline; then the same without the worst kind. Not known beforehand:
nobody has published it. About 12 minutes on one core; trained models stay in a folder, so a run that was stopped goes on.

Run: python experiments/e_pi_membership.py [--quick] [--store FOLDER]
"""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks.membership.metrics import auc, tpr_at_fpr
from attacks.shadow.designs import poisson_design
from attacks.shadow.run import ShadowRun, run_shadow
from attacks.shadow.store import ShadowStore
from experiments.language_shadows import DELTA, Arm, Pool, Shape, experiment_of, shadow_tasks
from experiments.membership_reads import ATTACKS, REGISTERED, Reads, each_as_target, joined, of_targets
from experiments.results_file import write_results
from mechanisms.errors import WeakEvidenceWarning
from privacy_audit.audits.records_game import guesses_per_side, records_bound, records_posterior, targets_of
from privacy_audit.estimate.one_run import one_run_bound
from private_inference.training.corpus import standard_library
from private_inference.training.tokenized_corpus import tokenize_corpus

Row = dict[str, object]

LEVEL = 0.95
ABOVE_LOWEST = 0.03  # nats: the equal perplexity lies above every kind's lowest one, where curves aren't flat

GUIDED = {"gamma": 0.2, "weight": 0.1, "reference": "logT"}
HELD = {"gamma": 0.02, "weight": 3.0, "reference": "causal"}
ARMS = (
    Arm("SM+LN+G", "sm_ln_gelu"),
    Arm("SM+ScFuFFN", "sm_scfuffn"),
    Arm("+ temperature + penalty", "sm_t_scfuffn", GUIDED),
    Arm("entropies held at 0.97", "sm_t_scfuffn", {**HELD, "theta_init": 0.97}, thresholds_learned=False),
    Arm("entropies held at 0.3", "sm_t_scfuffn", {**HELD, "theta_init": 0.3}, thresholds_learned=False),
    Arm("+ temperature + penalty, DP-SGD, epsilon 8", "sm_t_scfuffn", GUIDED, epsilon=8.0),
)
SHAPE = Shape()


@dataclass(frozen=True, slots=True)
class Config:
    """How much is run."""

    arms: tuple[Arm, ...] = ARMS
    shape: Shape = SHAPE
    n_models: int = 16
    n_records: int = 600
    n_population: int = 200
    seed: int = 20261126


QUICK = Config(arms=(*ARMS[:2], ARMS[-1]), shape=Shape(steps=90, first_read=30), n_models=6, n_records=300, n_population=40)


def run(config: Config, folder: Path, *, rng: np.random.Generator) -> Iterator[Row]:
    """Yield the rows of each kind as they come, then those at equal perplexity."""
    pool = drawn_pool(config, rng)
    found: dict[str, Reads] = {}
    for arm in config.arms:
        reads = Reads.of(trained(arm, config, pool, folder), config.shape, config.n_records)
        found[arm.name] = reads
        if arm.epsilon is None:  # a private run is read at its end only
            yield _kind_row(arm.name, "lowest held-out loss", reads, int(reads.population_loss().argmin()))
        yield _kind_row(arm.name, "last step", reads, -1)
    open_kinds = {arm.name: found[arm.name] for arm in config.arms if arm.epsilon is None}
    yield from equal_rows(open_kinds)
    worst = max(open_kinds, key=lambda name: float(_curve(open_kinds[name]).min()))
    yield from equal_rows({name: reads for name, reads in open_kinds.items() if name != worst})


def drawn_pool(config: Config, rng: np.random.Generator) -> Pool:
    """Draw different sequences and throw a coin for each record and model; population sequences train nobody."""
    corpus = tokenize_corpus(standard_library(), vocab_size=config.shape.vocab_size)
    different = np.unique(corpus.train_sequences(config.shape.block_size), axis=0)
    n, p = config.n_records, config.n_population
    sequences = different[rng.choice(len(different), n + p, replace=False)]
    coins = poisson_design(config.n_models, n, rng=rng)
    return Pool(sequences, n, np.hstack([coins, np.zeros((config.n_models, p), dtype=np.bool_)]))


def trained(arm: Arm, config: Config, pool: Pool, folder: Path) -> ShadowRun:
    """Train what the folder lacks."""
    place = folder / "".join(letter if letter.isalnum() else "_" for letter in arm.name)
    store = ShadowStore(place, experiment=experiment_of(arm, config.shape, pool, config.seed))

    def progress(done: int, total: int, label: str) -> None:
        print(f"{arm.name}: {done} of {total}, {label}", file=sys.stderr, flush=True)

    return run_shadow(shadow_tasks(arm, config.shape, pool, config.seed), store, progress=progress)


def _kind_row(name: str, when: str, reads: Reads, read: int) -> Row:
    """Return one kind at one read: perplexities, every attack, and what the registered one proves."""
    of_each = {attack: each_as_target(reads, read, attack) for attack in ATTACKS}
    n_targets = targets_of(len(reads.member))
    attacked = of_targets(reads, read, REGISTERED, n_targets)
    bound, guesses = records_bound(attacked, delta=DELTA, level=LEVEL), 2 * guesses_per_side(len(attacked))
    largest = one_run_bound(n_canaries=len(attacked), n_guesses=guesses, n_correct=guesses, delta=DELTA, level=LEVEL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeakEvidenceWarning)
        posterior = records_posterior(joined(of_each[REGISTERED]), delta=DELTA)
    low, median, high = np.asarray(posterior.ppf([(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])).tolist()
    members, others = (float(np.exp(reads.member_losses(members=side)[:, read].mean())) for side in (True, False))
    row: Row = {"part": "kind", "kind": name, "when": when, "step": int(reads.steps[read]), "models": len(reads.member)}
    row |= {"flatness": float(reads.flatness()[read]), "perplexity_members": members, "perplexity_others": others}
    row |= {"bound": bound.epsilon, "largest_bound": largest.epsilon, "posterior_low": low, "posterior": median, "posterior_high": high}
    for attack, scores in of_each.items():
        row |= {f"auc: {attack}": _mean([auc(one) for one in scores]), f"tpr: {attack}": _mean([tpr_at_fpr(one, 0.01) for one in scores])}
    return row


def equal_rows(found: dict[str, Reads]) -> Iterator[Row]:
    """Yield each kind where the perplexity of others has fallen to what all kinds reach."""
    curves = {name: _curve(reads) for name, reads in found.items()}
    level = max(float(curve.min()) for curve in curves.values()) + ABOVE_LOWEST
    baseline: dict[str, np.ndarray] = {}
    for name, reads in found.items():
        before, share = _crossing(curves[name], level)
        between = {attack: _between(reads, before, share, attack) for attack in ATTACKS}
        baseline = baseline or between
        members = reads.member_losses(members=True).mean(axis=0)
        row: Row = {"part": "equal", "kind": name, "perplexity_others": math.exp(level)}
        row |= {"step": _at(reads.steps, before, share), "flatness": _at(reads.flatness(), before, share)}
        row |= {"perplexity_members": math.exp(_at(members, before, share))}
        for attack, values in between.items():
            gain = values[:, 0] - baseline[attack][:, 0]
            row |= {f"auc: {attack}": _mean(values[:, 0]), f"tpr: {attack}": _mean(values[:, 1])}
            row |= {f"auc minus baseline: {attack}": _mean(gain), f"its error: {attack}": float(gain.std(ddof=1) / len(gain) ** 0.5)}
        yield row


def _curve(reads: Reads) -> np.ndarray:
    """Return the mean loss of records that a model wasn't trained on, (S,)."""
    return np.asarray(reads.member_losses(members=False).mean(axis=0))


def _crossing(curve: np.ndarray, level: float) -> tuple[int, float]:
    """Return the read before a falling curve crosses the level, and how far beyond that read it does, in [0, 1]."""
    after = int(np.argmax(curve <= level))
    if after == 0:
        raise ValueError("the first read is below the level already; read more often")
    return after - 1, float((curve[after - 1] - level) / (curve[after - 1] - curve[after]))


def _between(reads: Reads, before: int, share: float, attack: str) -> np.ndarray:
    """Return each model's AUC and TPR at 1 % FPR between two reads, (K, 2)."""
    ends = [[(auc(one), tpr_at_fpr(one, 0.01)) for one in each_as_target(reads, read, attack)] for read in (before, before + 1)]
    return (1 - share) * np.array(ends[0]) + share * np.array(ends[1])


def _at(curve: np.ndarray, before: int, share: float) -> float:
    return float((1 - share) * curve[before] + share * curve[before + 1])


def _mean(values: object) -> float:
    return float(np.mean(values))


def main() -> None:
    """Run, print the rows, write results/e_pi_membership.jsonl after each of them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="three kinds, few models and steps; writes nothing")
    parser.add_argument("--store", type=Path, default=Path("build/e_pi_membership"), help="where trained models are kept")
    options = parser.parse_args()
    config = QUICK if options.quick else Config()
    rows: list[Row] = []
    for row in run(config, options.store / ("quick" if options.quick else "full"), rng=np.random.default_rng(config.seed)):
        rows.append(row)
        print("  ".join(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()), flush=True)
        if not options.quick:
            write_results("e_pi_membership", rows, seed=config.seed, tools=("numpy", "scipy", "torch", "tokenizers", "scikit-learn"))


if __name__ == "__main__":
    main()
