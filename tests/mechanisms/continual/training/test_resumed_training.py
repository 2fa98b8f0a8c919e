"""Runs with correlated noise that are saved and gone on from: no noise is drawn twice, none is published."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from opacus import PrivacyEngine

from mechanisms.errors import BudgetExhaustedError, StateError
from mechanisms.noise.source import SecureNoise
from tests.mechanisms.continual.training.runs import MECHANISMS, Run


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_resumed_run_goes_on_with_the_same_noise(mechanism: str):
    whole = Run(mechanism=mechanism, zeros=False)
    expected = whole.epochs(3)
    first = Run(mechanism=mechanism, zeros=False)
    first.epochs(1)
    file = io.BytesIO()
    torch.save({"weights": first.net.state_dict(), "optimizer": first.optimizer.state_dict(), "noise": first.optimizer.noise_state()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    second = Run(mechanism=mechanism, zeros=False, seed=99)
    second.net.load_state_dict(saved["weights"])
    second.optimizer.load_state_dict(saved["optimizer"])
    with pytest.raises(StateError, match="load_noise_state"):
        second.epochs(1)
    second = Run(mechanism=mechanism, zeros=False, seed=99)
    second.net.load_state_dict(saved["weights"])
    second.optimizer.load_state_dict(saved["optimizer"])
    second.optimizer.load_noise_state(saved["noise"])
    np.testing.assert_array_equal(second.epochs(2), expected[4:])
    with pytest.raises(BudgetExhaustedError):
        second.epochs(1)


def test_a_secure_run_resumes_with_fresh_base_noise_that_cancels_the_old():
    """R times all noise is the base noise, before and after: of unit variance and uncorrelated. Five standard errors: false alarm 1e-6."""
    first = Run(seed=None, dim=4000)
    found = [first.epochs(1)]
    second = Run(seed=None, dim=4000)
    second.optimizer.load_noise_state(first.optimizer.noise_state())
    found.append(second.epochs(2))
    base = second.optimizer.design.right_matrix() @ np.concatenate(found) * 3 / (1.5 * 2.0)
    covariance = np.cov(base)
    assert np.abs(covariance - np.eye(12)).max() < 5 * np.sqrt(2 / 4000)
    apart = second.optimizer.design.right_matrix() @ np.concatenate([found[0], Run(seed=None, dim=4000).epochs(2)]) * 3 / (1.5 * 2.0)
    assert np.abs(np.cov(apart) - np.eye(12)).max() > 5 * np.sqrt(2 / 4000), "negative control: noise begun anew doesn't cancel"


def test_states_that_would_draw_a_noise_again_or_fit_nothing_are_refused():
    run = Run()
    state = run.optimizer.noise_state()
    run.epochs(1)
    with pytest.raises(StateError, match="drawn again"):
        run.optimizer.load_noise_state(state)
    with pytest.raises(StateError, match="another design"):
        Run(n_steps=11).optimizer.load_noise_state(state)
    with pytest.raises(StateError, match="other parameters"):
        Run(dim=41).optimizer.load_noise_state(state)
    with pytest.raises(StateError, match="kind of noise source"):
        Run(seed=None).optimizer.load_noise_state(state)
    with pytest.raises(StateError, match="12 records|2 records"):
        Run().optimizer.load_noise_state({**state, "participations": [torch.zeros(2), torch.zeros(2)]})
    with pytest.raises(StateError, match="no state"):
        Run().optimizer.load_noise_state({})
    with pytest.raises(StateError, match="other noise"):
        Run().optimizer.load_state_dict(Run(n_steps=11).optimizer.state_dict())
    other = Run()
    other.optimizer.load_state_dict(run.optimizer.state_dict())
    with pytest.raises(StateError, match="the noise is of step 0"):
        other.optimizer.load_noise_state(state)


def test_an_interrupted_step_is_not_repeated():
    run = Run()

    class Failing(SecureNoise):
        def words(self, n: int):
            raise KeyboardInterrupt

    run.optimizer.noise.source = Failing()
    with pytest.raises(KeyboardInterrupt):
        run.epochs(1)
    with pytest.raises(StateError, match="interrupted"):
        run.epochs(1)
    with pytest.raises(StateError, match="no state to save"):
        run.optimizer.noise_state()


def test_published_states_hold_no_noise():
    run = Run(inner=lambda p: torch.optim.SGD(p, lr=0.1))
    run.epochs(1)
    tensors = [value for value in _leaves(run.optimizer.state_dict()) if isinstance(value, torch.Tensor)]
    assert tensors == []
    assert run.optimizer.state_dict()["correlated_noise"]["n_taken"] == 4


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def test_the_engines_checkpoints_work(tmp_path):
    run = Run(seed=None)
    run.epochs(1)
    run.engine.save_checkpoint(path=tmp_path / "run.pt", module=run.private, optimizer=run.optimizer)
    other = Run(seed=None)
    other.engine.load_checkpoint(path=tmp_path / "run.pt", module=other.private, optimizer=other.optimizer)
    assert len(other.engine.accountant) == 4
    with pytest.raises(StateError, match="load_noise_state"):
        other.epochs(1)
    with pytest.raises(ValueError, match="correlated_noise"):
        PrivacyEngine().accountant.load_state_dict(run.engine.accountant.state_dict())
