"""The attacks that an audit by shadow models shows side by side, and the one that decides unless the user names another."""

from __future__ import annotations

from privacy_audit.audits.records_game import ReferenceAttack

REGISTERED = "bayes_t"


def named_attacks(*, with_population: bool) -> dict[str, ReferenceAttack]:
    """Return fresh attacks by name, the strongest first; RMIA needs a population of records that no model was trained on."""
    from attacks.membership.bayes_t import BayesT
    from attacks.membership.difficulty_calibrated import DifficultyCalibrated
    from attacks.membership.lira import LiRA
    from attacks.membership.loss import LossAttack
    from attacks.membership.rmia import RMIA

    found: dict[str, ReferenceAttack] = {REGISTERED: BayesT()}
    if with_population:
        found["rmia"] = RMIA()
    return found | {
        "lira_fixed": LiRA(variance="fixed"),
        "lira_per_record": LiRA(variance="per_record"),
        "difficulty_calibrated": DifficultyCalibrated(),
        "loss": LossAttack(),
    }


def attacks_beside(registered: str | ReferenceAttack, *, with_population: bool) -> tuple[str, dict[str, ReferenceAttack]]:
    """Return (name of the attack that decides, all attacks by name with that one first).

    Raises
    ------
    ValueError : an unknown name, or RMIA without a population.
    TypeError : an object without fit and score.
    """
    named = named_attacks(with_population=with_population)
    if isinstance(registered, str):
        if registered == "rmia" and not with_population:
            raise ValueError("attack 'rmia' needs population=, public records that no model is trained on")
        if registered not in named:
            raise ValueError(f"attack must be one of {', '.join(map(repr, named))} or an object with fit and score, got {registered!r}")
        return registered, {registered: named.pop(registered)} | named
    if not (callable(getattr(registered, "fit", None)) and callable(getattr(registered, "score", None))):
        raise TypeError(f"attack must be a name or an object with fit and score, got {type(registered).__name__}")
    name = type(registered).__name__
    return name, {name: registered} | named
