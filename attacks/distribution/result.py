"""Results of a game with two worlds: per attack the counts on victims, and all that is needed to read them.

World 1 stands where membership counts have "member": tpr = P[answer 1 | world 1], tnr = P[answer 0 | world 0]. Counts of a game are never
pooled with membership counts. The posterior of accuracy and of n_leaked is made from these counts on the top floor: `privacy_audit`.

References
----------
Suri, Evans, Formalizing and Estimating Distribution Inference Risks, PETS 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attacks.canaries.finding import Finding
from attacks.distribution.game_settings import GameSettings
from attacks.distribution.graph_degree import DegreeLaw, n_leaked_degree, n_leaked_degree_bound
from attacks.distribution.leakage import Method as LeakMethod
from attacks.distribution.leakage import n_leaked
from attacks.scores import AttackCounts
from mechanisms.json_ready import JsonValue, json_ready

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackOutcome:
    """What one attack did.

    Parameters
    ----------
    name, access : of the attack.
    blocks : counts of each repeat's block of victims, by that repeat's shadow models.
    shadow_accuracy : cross-validated balanced accuracy on shadow models, mean over repeats; None where there are too few of them.
    """

    name: str
    access: str
    blocks: tuple[AttackCounts, ...]
    shadow_accuracy: float | None

    @property
    def counts(self) -> AttackCounts:
        """Counts over all victims."""
        return AttackCounts(**{name: sum(getattr(block, name) for block in self.blocks) for name in ("tp", "fp", "tn", "fn")})

    @property
    def accuracy(self) -> float:
        """Balanced accuracy (TNR + TPR) / 2."""
        return (1 + self.advantage) / 2

    @property
    def advantage(self) -> float:
        """TPR + TNR - 1, in [-1, 1]; never mirrored."""
        return self.counts.tpr - self.counts.fpr

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {
            "name": self.name,
            "access": self.access,
            "counts": json_ready(self.counts),
            "blocks": json_ready(self.blocks),
            "shadow_accuracy": self.shadow_accuracy,
            "accuracy": self.accuracy,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributionInferenceResult:
    """Result of `DistributionInferenceGame.run` or `DegreeGame.run`.

    Parameters
    ----------
    settings : how the game was played.
    outcomes : one per attack, in the order given.
    selected : the attack with the best accuracy on shadow models; the score on victims never chooses.
    training_sizes : smallest and largest number of training records of victims, by world, after any defense.
    findings : what may make the figures mean something else, e.g. "size_side_channel".
    caveats : what holds of every game of this kind.
    degree_laws : of a degree game, the laws of both worlds.
    """

    settings: GameSettings
    outcomes: tuple[AttackOutcome, ...]
    selected: str
    training_sizes: tuple[tuple[int, int], ...]
    findings: tuple[Finding, ...] = ()
    caveats: tuple[str, ...] = ()
    degree_laws: tuple[DegreeLaw, DegreeLaw] | None = None

    def outcome(self, attack: str | None = None) -> AttackOutcome:
        """Return what an attack did, by its name; None takes the selected one.

        Raises
        ------
        ValueError : no attack of this name.
        """
        name = self.selected if attack is None else attack
        for outcome in self.outcomes:
            if outcome.name == name:
                return outcome
        raise ValueError(f"attack must be one of {', '.join(repr(outcome.name) for outcome in self.outcomes)}, got {name!r}")

    @property
    def counts(self) -> AttackCounts:
        """Counts of the selected attack over all victims."""
        return self.outcome().counts

    @property
    def accuracy(self) -> float:
        """Balanced accuracy of the selected attack."""
        return self.outcome().accuracy

    def n_leaked(self, attack: str | None = None, *, method: LeakMethod = "exact") -> float:
        """Return how many records an ideal observer needs to be as accurate as the attack: a point estimate, without its uncertainty.

        Notes
        -----
        A lower limit of what the model leaks, set by the strength of the attack. The posterior, which says how sure it is, is made
        from `counts` by `privacy_audit`. A degree game knows "exact" and the published bound "renyi_inf", both as if degrees were
        independent draws (see `caveats`); where the number is known only between two ends, the lower one is returned.
        """
        accuracy = self.outcome(attack).accuracy
        if self.degree_laws is not None:
            return _degrees_leaked(accuracy, self.degree_laws, method)
        first, second = self.settings.worlds
        return float(n_leaked(accuracy, first, second, method=method))

    def table(self) -> list[dict[str, JsonValue]]:
        """Return one row per attack, the best on shadow models first."""
        return [
            {
                "attack": outcome.name,
                "access": outcome.access,
                "selected": outcome.name == self.selected,
                "shadow_accuracy": outcome.shadow_accuracy,
                "accuracy": outcome.accuracy,
                "tpr": outcome.counts.tpr,
                "tnr": 1 - outcome.counts.fpr,
                "n_leaked": json_ready(self.n_leaked(outcome.name)),
            }
            for outcome in sorted(self.outcomes, key=lambda outcome: -(outcome.shadow_accuracy or 0.0))
        ]

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {
            "schema_version": SCHEMA_VERSION,
            "settings": self.settings.to_dict(),
            "outcomes": json_ready(self.outcomes),
            "selected": self.selected,
            "n_leaked": json_ready(self.n_leaked()),
            "training_sizes": json_ready(self.training_sizes),
            "findings": json_ready(self.findings),
            "caveats": json_ready(self.caveats),
            "degree_laws": None if self.degree_laws is None else [_law_settings(law) for law in self.degree_laws],
        }


def selected_by_shadows(outcomes: Sequence[AttackOutcome]) -> str:
    """Return the name of the attack with the best accuracy on shadow models; of equal ones the first.

    Raises
    ------
    ValueError : several attacks and one without an accuracy on shadow models.
    """
    if len(outcomes) > 1 and any(outcome.shadow_accuracy is None for outcome in outcomes):
        raise ValueError("several attacks can't be compared with so few shadow models per world; take n_shadow >= 3, or one attack")
    return max(outcomes, key=lambda outcome: outcome.shadow_accuracy or 0.0).name


def _degrees_leaked(accuracy: float, laws: tuple[DegreeLaw, DegreeLaw], method: LeakMethod) -> float:
    if method == "exact":
        return n_leaked_degree(accuracy, *laws).lower
    if method == "renyi_inf":
        return float(n_leaked_degree_bound(accuracy, *laws))
    raise ValueError(f"method must be 'exact' or 'renyi_inf' for degrees, got {method!r}")


def _law_settings(law: DegreeLaw) -> JsonValue:
    return {"largest": law.largest, "exponent": law.exponent}
