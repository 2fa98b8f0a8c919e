"""The table of methods, and the choice between them: the narrowest predicted intervals, from public parameters alone."""

from __future__ import annotations

from mechanisms.adaptive import gaussian_answers, guessed_answers, laplace_answers, split_answers, weights_answers
from mechanisms.adaptive.answer_method import AnswerTask, MethodPlan, Planner, Unsuitable

PLANNERS: dict[str, Planner] = {
    gaussian_answers.NAME: gaussian_answers.plan_gaussian,
    laplace_answers.NAME: laplace_answers.plan_laplace,
    split_answers.NAME: split_answers.plan_split,
    weights_answers.NAME: weights_answers.plan_weights,
    guessed_answers.NAME: guessed_answers.plan_guesses,
}
METHODS = ("auto", *PLANNERS)


def answer_plans(task: AnswerTask) -> dict[str, MethodPlan]:
    """Return the plans of all methods that can serve the task, the narrowest first."""
    plans = [plan for planner in PLANNERS.values() if isinstance(plan := planner(task), MethodPlan)]
    return {plan.name: plan for plan in sorted(plans, key=lambda plan: plan.width)}


def answer_plan(task: AnswerTask, method: str) -> MethodPlan:
    """Return the plan of a method by name.

    Raises
    ------
    ValueError : the method can't serve the task.
    """
    plan = PLANNERS[method](task)
    if isinstance(plan, Unsuitable):
        raise ValueError(f"method {method!r} {plan.reason}")
    return plan
