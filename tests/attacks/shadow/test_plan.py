"""From a design to tasks: groups, seeds, and an experiment that changes with all that scores depend on."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
import torch
from torch import nn

from attacks.shadow.designs import poisson_design
from attacks.shadow.ensemble import ShadowTrainer
from attacks.shadow.records import as_records
from attacks.shadow.run import run_shadow
from attacks.shadow.training import ShadowPlan

INPUTS = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
TARGETS = np.arange(30) % 2
DESIGN = poisson_design(6, 30, rng=1)


def train(part, rng, scale=1.0):
    inputs, targets = part
    model = nn.Linear(4, 2).double()
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(rng.normal(size=(2, 4)) * scale))
        model.bias.copy_(torch.tensor([np.mean(targets), len(inputs) / 30]))
    return model


def network():
    return nn.Linear(4, 2)


def plan(**changes):
    return dataclasses.replace(ShadowPlan(train, as_records((INPUTS, TARGETS)), DESIGN, 7, 15.0), **changes)


def trainer(**changes):
    return ShadowTrainer(**({"make_model": network, "lr": 0.1, "steps": 5, "sample_rate": 0.5, "seed": 3} | changes))


def test_one_model_a_group_for_training_code_and_sixteen_in_lock_step():
    assert [task.model_id for task in plan().tasks()] == [(k,) for k in range(6)]
    assert [task.model_id for task in plan(train=trainer()).tasks()] == [tuple(range(6))]
    assert [task.model_id for task in plan(group_size=4).tasks()] == [(0, 1, 2, 3), (4, 5)]


def test_signals_do_not_depend_on_groups():
    one, other = run_shadow(plan().tasks()), run_shadow(plan(group_size=4).tasks())
    np.testing.assert_array_equal(one.signals, other.signals)
    np.testing.assert_array_equal(one.member, DESIGN)
    together, apart = (run_shadow(plan(train=trainer(), group_size=size).tasks()) for size in (6, 1))
    np.testing.assert_allclose(together.signals, apart.signals, atol=1e-5)
    assert len(np.unique(together.signals[:, 0, 0])) == 6


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"seed": 8}, "seed"),
        ({"design": ~DESIGN}, "design"),
        ({"records": as_records((INPUTS[::-1], TARGETS))}, "inputs"),
        ({"records": as_records((INPUTS, 1 - TARGETS))}, "targets"),
        ({"group_size": 2}, "group_size"),
        ({"train": functools.partial(train, scale=2.0)}, "training_code"),
    ],
)
def test_the_experiment_changes_with_what_scores_depend_on(changes, part):
    first, second = plan().experiment(), plan(**changes).experiment()
    assert {name for name in first if first[name] != second.get(name)} == {part}


@pytest.mark.parametrize("change", [{"lr": 0.2}, {"seed": 4}, {"steps": 6}, {"sample_rate": 0.4}, {"momentum": 0.9}])
def test_so_it_does_with_the_settings_of_a_trainer(change):
    assert plan(train=trainer()).experiment() != plan(train=trainer(**change)).experiment()
    assert plan(train=trainer()).experiment() == plan(train=trainer()).experiment()


@pytest.mark.parametrize("change", [{"optimizer": "adam"}, {"weight_decay": 0.1}, {"batch_size": 4}, {"epochs": 3}])
def test_so_it_does_with_optimizer_and_epochs(change):
    epochs = {"steps": None, "sample_rate": None, "batches": "shuffled", "batch_size": 5, "epochs": 2}
    first, second = (plan(train=trainer(**{**epochs, **more})) for more in ({}, change))
    assert first.experiment() != second.experiment()
    assert first.experiment() != plan(train=trainer()).experiment()
    assert run_shadow(second.tasks()).signals.shape == (6, 30, 1)


def test_bad_plans_are_refused():
    with pytest.raises(TypeError, match="train must be"):
        plan(train=3)
    with pytest.raises(ValueError, match="design"):
        plan(design=DESIGN[:, :5])


def test_lock_step_takes_no_sequences():
    tokens = np.zeros((30, 3), dtype=int)
    with pytest.raises(ValueError, match="training code"):
        plan(train=trainer(), records=as_records((tokens, tokens)))
