"""`privacy-audit epsilon`: what counts or scores of an attack say about epsilon, in a second and without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from attacks.scores import AttackCounts
    from privacy_audit.estimate.bound import EpsilonBound
    from privacy_audit.estimate.posterior import EpsilonPosterior

    Evidence = tuple[AttackCounts, EpsilonPosterior, EpsilonBound]

SCHEMA_VERSION = 1


def epsilon(
    scores: Annotated[Path | None, typer.Argument(help="Scores with columns score, member (.csv or .parquet).", metavar="SCORES")] = None,
    tp: Annotated[int | None, typer.Option(help='Members guessed "member".')] = None,
    fp: Annotated[int | None, typer.Option(help='Non-members guessed "member".')] = None,
    tn: Annotated[int | None, typer.Option(help='Non-members guessed "non-member".')] = None,
    fn: Annotated[int | None, typer.Option(help='Members guessed "non-member".')] = None,
    delta: Annotated[float, typer.Option(help="Probability in [0, 1) of the guarantee that is tested.")] = 0.0,
    level: Annotated[float, typer.Option(help="Probability content of the interval, and level of the bound.")] = 0.9,
    seed: Annotated[int, typer.Option(help="Seed of the split that chooses a threshold; used with SCORES only.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the record as JSON and nothing else.")] = False,
) -> None:
    """Posterior and lower bound of epsilon from the outcome of an attack: either SCORES or all of --tp --fp --tn --fn."""
    counts = {"tp": tp, "fp": fp, "tn": tn, "fn": fn}
    if scores is not None and any(count is not None for count in counts.values()):
        raise ValueError("give either SCORES or --tp --fp --tn --fn, not both")
    counted, posterior, bound = _from_counts(counts, delta, level) if scores is None else _from_scores(scores, delta, level, seed)
    if json:
        _print_record(posterior, bound, level)
    else:
        _print_table(counted, posterior, bound, level, chosen_by_split=scores is not None)


def _from_counts(given: dict[str, int | None], delta: float, level: float) -> Evidence:
    from attacks.scores import AttackCounts
    from privacy_audit.estimate.lower_bound import epsilon_lower_bound
    from privacy_audit.estimate.posterior import EpsilonPosterior

    known = {name: count for name, count in given.items() if count is not None}
    missing = [f"--{name}" for name in given if name not in known]
    if missing:
        raise ValueError(f"give SCORES or all four counts: {', '.join(missing)} missing")
    counts = AttackCounts(**known)
    return counts, EpsilonPosterior(counts, delta=delta), epsilon_lower_bound(counts, delta=delta, level=level, method="likelihood_ratio")


def _from_scores(path: Path, delta: float, level: float, seed: int) -> Evidence:
    from attacks.score_files import read_scores
    from privacy_audit.estimate.posterior import EpsilonPosterior
    from privacy_audit.estimate.thresholds import audit_scores, split_counts

    scores = read_scores(path)
    counts, _ = split_counts(scores, delta=delta, rng=seed)
    return counts, EpsilonPosterior(counts, delta=delta), audit_scores(scores, delta=delta, level=level)


def _print_record(posterior: EpsilonPosterior, bound: EpsilonBound, level: float) -> None:
    from privacy_audit.cli.output import print_json

    posterior_record = {**posterior.to_dict(), "interval": posterior.interval(level), "level": level}
    print_json({"schema_version": SCHEMA_VERSION, "posterior": posterior_record, "bound": bound.to_dict()})


def _print_table(counts: AttackCounts, posterior: EpsilonPosterior, bound: EpsilonBound, level: float, *, chosen_by_split: bool) -> None:
    from privacy_audit.cli.output import print_rows, print_sentences

    low, high = posterior.interval(level)
    where = "at a threshold chosen on one half of the scores, counted on the other" if chosen_by_split else ""
    print_rows(
        ("counts", f"tp {counts.tp}, fp {counts.fp}, tn {counts.tn}, fn {counts.fn} {where}".rstrip()),
        ("delta", f"{posterior.delta:g}"),
        ("neighbors", posterior.neighboring.value),
        ("posterior", f"median {posterior.median:.3f}, {level:g} credible interval [{low:.3f}, {high:.3f}]"),
        (bound.kind, f"epsilon >= {bound.epsilon:.3f} at level {bound.level:g}, method {bound.method}"),
    )
    print_sentences(
        "How to read it:",
        (
            "the posterior is about this attack's epsilon: a stronger attack may show more",
            "only the bound may contradict a claim, and only a claim for the same neighbors and delta",
        ),
    )
    if bound.assumptions:
        print_sentences("The bound assumes:", bound.assumptions)
