"""Audit of a training distribution: ratios -> games -> counts -> posteriors and bound -> AuditReport.

For each pair of ratios a game trains shadow models and victims on samples of two worlds, which differ in the share of a property, and
attacks the victims. What decides is fixed before a victim is looked at: one attack for each pair, by cross-validation on shadow models.
Every other attack is shown and decides nothing. The claim, an (epsilon, delta) of the training, is tested by the chosen attacks' proved
advantage (`distribution_bound`); that is a weak test, and a success against the distribution is by itself no violation.

Cost: for each pair 2 (n_shadow + n_victim) trainings, twice as many with a defense.

References
----------
Suri, Evans, Formalizing and Estimating Distribution Inference Risks, PETS 2022.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from numpy.typing import ArrayLike

from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.randomness import RngLike, as_generator, root_entropy
from mechanisms.validation import in_range, probability_level, valid_delta, whole_number
from privacy_audit.audits.distribution_games import RatioGames
from privacy_audit.audits.distribution_reports import DistributionAudit, distribution_report
from privacy_audit.audits.provenance import Progress, silent
from privacy_audit.report.record import AuditReport

if TYPE_CHECKING:
    from attacks.distribution.attack import WorldAttack
    from attacks.distribution.defense import Defense
    from attacks.distribution.train import Trainer

    Attacks = Sequence[WorldAttack] | Mapping[str, WorldAttack]

NO_CLAIM = "nothing is claimed"
LEAST_SHADOWS = 4  # of each world: enough to hold some out


def audit_distribution(
    train: Trainer | None,
    data: tuple[ArrayLike, ArrayLike, ArrayLike],
    *,
    ratios: Sequence[tuple[float, float]],
    n_train: int,
    delta: float,
    claim: PrivacyGuarantee | None = None,
    attacks: Attacks | None = None,
    n_shadow: int = 50,
    n_victim: int = 100,
    n_queries: int = 1000,
    method: Literal["quota", "iid"] = "quota",
    label_rate: ArrayLike | None = None,
    defense: Defense | None = None,
    level: float = 0.95,
    rng: RngLike = None,
    progress: Progress | None = None,
    title: str = "Audit of a training distribution",
) -> AuditReport:
    """Play a game for each pair of ratios, and report what models tell of the distribution that they were trained on.

    Parameters
    ----------
    train : train(inputs, labels, rng) -> model (a torch module, or a classifier with `predict_proba`), or a `ShadowTrainer`, which trains
        models in lock-step; None takes a multi-layer perceptron 32-16-8.
    data : (X, y, prop): records, labels 0 to K - 1, and who has the property; adversary and victims get disjoint parts.
    ratios : pairs of shares of the property, (world 0, world 1), one game for each.
    n_train : records given to each model.
    delta : where epsilon is claimed and bounded.
    claim : the guarantee to test, add/remove or replace neighbors, privacy unit "record", the same delta; None tests nothing: its epsilon
        is infinite. It is about the whole way from the n_train records to the model, a defense included.
    attacks : attacks by name, or in a list; None takes the black-box ones. One of them is chosen for each pair, by shadow models.
    n_shadow, n_victim : models of each world and pair.
    n_queries : records of the adversary's part that models are asked about; no model is trained on them.
    method : "quota" for fixed counts of every (property, label) cell, "iid" for independent draws.
    label_rate : rates of the labels in both worlds; None takes those of `data`.
    defense : what is done to a training sample before training; shadow models do it too (adaptive), and a second game shows an adversary
        who does not know of it.
    level : probability content of every interval and bound.
    rng : int, numpy Generator or None, for samples and analysis.
    progress : called with (done, total, label).
    title : heading of the report.

    Returns
    -------
    The report; its `distribution` holds the counts of every pair and attack.

    Raises
    ------
    ValueError, TypeError : a parameter out of range, a claim about other neighbors, another unit or another delta, a cell of the data
        that is short, or a pair whose training sets don't differ.

    Guarantee
    ---------
    The bound holds under the claim's neighboring relation for any training that gets its sample only, in either method: victims of a world
    are independent given the pool, the attack of each pair is fixed before them, and `coupling` says in how many records training sets of
    the two worlds differ. A small bound is no evidence of privacy: group privacy over hundreds of records makes it small.
    """
    delta, level = valid_delta(delta), probability_level(level)
    claim, pairs = _settled(claim, delta), _settled_ratios(ratios)
    games = RatioGames(
        data=_three(data),
        n_train=whole_number(1, n_train=n_train),
        n_shadow=whole_number(LEAST_SHADOWS, n_shadow=n_shadow),
        n_victim=whole_number(2, n_victim=n_victim),
        n_queries=n_queries,
        method=method,
        label_rate=label_rate,
        train=train,
        defense=defense,
        attacks=attacks,
    )
    generator = as_generator(rng)
    told = progress or silent
    total = len(pairs) * games.n_models
    played = [
        games.play(pair, rng=own, progress=_after(k * games.n_models, total, told))
        for k, (pair, own) in enumerate(zip(pairs, generator.spawn(len(pairs)), strict=True))
    ]
    audit = DistributionAudit(claim=claim, level=level, title=title, seeds={"samples and trainings": root_entropy(generator)})
    return distribution_report(audit, played)


def _settled(claim: PrivacyGuarantee | None, delta: float) -> PrivacyGuarantee:
    if claim is None:
        return PrivacyGuarantee(math.inf, delta, Neighboring.ADD_REMOVE, mechanism=NO_CLAIM)
    if not isinstance(claim, PrivacyGuarantee):
        raise TypeError(f"claim must be a PrivacyGuarantee (it carries the neighboring relation), got {type(claim).__name__}")
    if claim.neighboring not in (Neighboring.ADD_REMOVE, Neighboring.REPLACE):
        raise ValueError(f"the claim must be for add_remove or replace neighbors, got {claim.neighboring.value}; worlds differ in records")
    if claim.privacy_unit != "record":
        raise ValueError(f"the claim's privacy unit must be 'record', got '{claim.privacy_unit}'; the worlds differ record by record")
    if claim.delta != delta:
        raise ValueError(f"claim and audit must have the same delta, got {claim.delta:g} and {delta:g}")
    return claim


def _settled_ratios(ratios: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    pairs = []
    for pair in ratios:
        if len(pair) != 2:
            raise ValueError(f"ratios must be pairs (share in world 0, share in world 1), got {len(pair)} numbers")
        first, second = (in_range(0, 1, closed="both", ratio=share) for share in pair)
        if first == second:
            raise ValueError(f"the ratios of a pair must differ, got {first:g} twice")
        pairs.append((first, second))
    if not pairs or len({frozenset(pair) for pair in pairs}) < len(pairs):
        raise ValueError(f"ratios must hold at least one pair and none twice, got {len(pairs)}")
    return tuple(pairs)


def _three(data: tuple[ArrayLike, ArrayLike, ArrayLike]) -> tuple[ArrayLike, ArrayLike, ArrayLike]:
    if not isinstance(data, tuple) or len(data) != 3:
        raise TypeError(f"data must be (X, y, prop), got {type(data).__name__}")
    return data


def _after(before: int, total: int, progress: Progress) -> Progress:
    """Return a progress of one pair's models that tells of all pairs'."""
    return lambda done, _total, label: progress(before + done, total, label)
