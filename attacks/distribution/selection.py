"""Which attack to report: chosen on the adversary's own models, or, if the best on victims is shown, paid for.

    by shadows      the attack with the best cross-validated accuracy on shadow models; its victims' figure needs no correction
    by victims      the best of k figures on the same victims is luck in part: each interval gets the level 1 - (1 - level) / k (Bonferroni)

Cost: folds + 1 fits per attack.

References
----------
Clopper, Pearson, Biometrika 1934. Dunn, Multiple Comparisons among Means, JASA 1961 (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from scipy.special import betaincinv
from sklearn.base import clone

from attacks.distribution.attack import WorldAttack
from attacks.distribution.shadow_accuracy import FOLDS, shadow_accuracy
from attacks.distribution.views import ModelViews
from attacks.scores import AttackCounts
from mechanisms.errors import InsufficientEvidenceError
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import probability_level


@dataclass(frozen=True, slots=True, eq=False)
class SelectedAttack:
    """The attack chosen on shadow models: `name`, `attack` (fitted on all of them), `accuracies` of all by cross-validation."""

    name: str
    attack: WorldAttack
    accuracies: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class BestOnVictims:
    """The best of `n_attacks` figures on the same victims, with an interval of that attack's accuracy that pays for the choice."""

    name: str
    accuracy: float
    interval: tuple[float, float]
    level: float
    n_attacks: int


def select_attack(
    attacks: Mapping[str, WorldAttack], shadow_0: ModelViews, shadow_1: ModelViews, *, folds: int = FOLDS, rng: RngLike = None
) -> SelectedAttack:
    """Return the attack that tells held-out shadow models apart best; all attacks get the same folds, the first of equals wins.

    Raises
    ------
    ValueError : no attack.
    InsufficientEvidenceError : too few shadow models to hold some out.
    """
    if not attacks:
        raise ValueError("attacks must not be empty")
    seed = int(as_generator(rng).integers(2**63))
    found = {name: shadow_accuracy(attack, shadow_0, shadow_1, folds=folds, rng=seed) for name, attack in attacks.items()}
    accuracies = {name: value for name, value in found.items() if value is not None}
    if not accuracies:
        raise InsufficientEvidenceError(f"choosing an attack holds out shadow models: {len(shadow_0)} and {len(shadow_1)} are too few")
    best = max(accuracies, key=lambda name: accuracies[name])
    return SelectedAttack(best, clone(attacks[best]).fit(shadow_0, shadow_1), accuracies)


def bonferroni_level(level: float, n_attacks: int) -> float:
    """Return the level of each of `n_attacks` intervals that hold together with probability `level`.

    Examples
    --------
    >>> round(bonferroni_level(0.95, 5), 6)
    0.99
    """
    if n_attacks < 1:
        raise ValueError(f"n_attacks must be at least 1, got {n_attacks}")
    return 1 - (1 - probability_level(level)) / n_attacks


def accuracy_interval(counts: AttackCounts, *, level: float = 0.95) -> tuple[float, float]:
    """Return an interval of the balanced accuracy of one attack that was fixed before the victims were seen.

    Guarantee
    ---------
    Finite sample, for independent victims: Clopper-Pearson intervals of TPR and TNR, each at 1 - (1 - level) / 2, so both hold with
    probability >= level, and then so does the mean of their ends. It is wider than need be.
    """
    each = bonferroni_level(level, 2)
    tpr = _clopper_pearson(counts.tp, counts.n_members, each)
    tnr = _clopper_pearson(counts.tn, counts.n_non_members, each)
    return (tpr[0] + tnr[0]) / 2, (tpr[1] + tnr[1]) / 2


def best_on_victims(counts: Mapping[str, AttackCounts], *, level: float = 0.95) -> BestOnVictims:
    """Return the attack with the largest accuracy on victims, and an interval that is valid in spite of the choice.

    Guarantee
    ---------
    Every attack's interval has level 1 - (1 - level) / k, so all k hold with probability >= level: the chosen one among them. Attacks may
    depend on each other in any way.
    """
    if not counts:
        raise ValueError("counts must hold at least one attack")
    accuracy = {name: (1 + each.tpr - each.fpr) / 2 for name, each in counts.items()}
    name = max(accuracy, key=lambda attack: accuracy[attack])
    interval = accuracy_interval(counts[name], level=bonferroni_level(level, len(counts)))
    return BestOnVictims(name, accuracy[name], interval, probability_level(level), len(counts))


def _clopper_pearson(k: int, n: int, level: float) -> tuple[float, float]:
    tail = (1 - level) / 2
    low = float(betaincinv(k, n - k + 1, tail)) if k > 0 else 0.0
    high = float(betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
    return low, high
