"""Audit by shadow models, end to end: torch and scikit-learn, both games, the store, dead executors, refusals."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.tree import DecisionTreeClassifier
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from attacks.membership.lira import LiRA
from attacks.shadow.ensemble import ShadowTrainer
from mechanisms.errors import InsufficientEvidenceError, ShadowRunFailed, StoreMismatch
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from privacy_audit.audits.shadow_models import audit_by_shadow_models

RNG = np.random.default_rng(5)
INPUTS = RNG.normal(size=(120, 6)).astype(np.float32)
TARGETS = RNG.integers(0, 3, 120)  # labels that can only be memorized
POPULATION = (RNG.normal(size=(60, 6)).astype(np.float32), RNG.integers(0, 3, 60))
CANARY = (-4 * INPUTS[:1], np.array([1]))
CALLS = []


def tree(part, rng):
    CALLS.append(len(part[0]))
    return DecisionTreeClassifier(max_depth=4, random_state=int(rng.integers(2**31))).fit(*part)


def network():
    return nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3))


def loop(part, rng):
    """A user's own loop over a torch data set."""
    net = network()
    with torch.no_grad():
        for weights in net.parameters():
            weights.copy_(torch.from_numpy(rng.normal(size=weights.shape) / 4))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    for _ in range(30):
        for inputs, targets in DataLoader(part, batch_size=64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(inputs), targets).backward()
            optimizer.step()
    return net


def nothing(part, rng):
    """Training that ignores its data."""
    net = nn.Linear(6, 3)
    with torch.no_grad():
        net.weight.copy_(torch.from_numpy(rng.normal(size=(3, 6))))
        net.bias.zero_()
    return net


def broken(part, rng):
    if len(part[0]) % 2:
        raise RuntimeError("record 4711")
    return tree(part, rng)


def claim(epsilon):
    return PrivacyGuarantee(epsilon, 1e-5, Neighboring.ADD_REMOVE)


pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")


class TestRecords:
    def test_a_memorizing_trainer_contradicts_a_small_claim(self, tmp_path):
        trainer = ShadowTrainer(network, lr=0.5, steps=300, sample_rate=0.3, seed=1)
        report = audit_by_shadow_models(trainer, (INPUTS, TARGETS), delta=1e-5, n_models=24, claim=claim(0.1), population=POPULATION, rng=2)
        assert report.verdict == "violation"
        assert report.bound.kind == "bound"
        assert report.membership.registered == "bayes_t"
        assert set(report.membership.scores) >= {"bayes_t", "rmia", "lira_fixed", "loss"}
        assert report.membership.n_targets == 6
        assert len(report.membership.most_exposed) == 20
        assert report.scores.auc > 0.75
        page = report.to_html(tmp_path / "report.html").read_text()
        assert "Membership inference" in page
        facts = json.loads(report.to_json(tmp_path / "report.json").read_text())
        assert facts["membership"]["registered"] == "bayes_t"

    def test_any_training_code(self):
        data = TensorDataset(torch.from_numpy(INPUTS), torch.from_numpy(TARGETS))
        report = audit_by_shadow_models(loop, data, delta=1e-5, n_models=8, attack="lira_fixed", rng=1)
        assert report.verdict == "consistent"
        assert "No finite epsilon is claimed" in report.headline
        assert report.claim.epsilon == math.inf
        assert report.membership.registered == "lira_fixed"

    def test_training_that_ignores_its_data_leaves_no_bound(self):  # one audit: false alarm at most 0.001
        report = audit_by_shadow_models(nothing, (INPUTS, TARGETS), delta=1e-5, n_models=16, level=0.999, claim=claim(0.5), rng=3)
        assert report.bound.epsilon == 0
        assert not report.contradicted or report.verdict == "suspicious"

    def test_an_attack_of_ones_own(self):
        report = audit_by_shadow_models(tree, (INPUTS, TARGETS), delta=1e-5, n_models=8, attack=LiRA(variance="shrunk"), rng=1)
        assert report.membership.registered == "LiRA"

    def test_the_same_seed_gives_the_same_audit(self):
        one, two, other = (audit_by_shadow_models(tree, (INPUTS, TARGETS), delta=1e-5, n_models=8, rng=seed) for seed in (4, 4, 5))
        assert one.to_dict() == two.to_dict()
        assert one.scores.member.tolist() != other.scores.member.tolist()


class TestCanary:
    def test_a_memorized_canary(self):
        report = audit_by_shadow_models(tree, (INPUTS, TARGETS), delta=1e-5, n_models=64, canary=CANARY, claim=claim(1.0), rng=1)
        assert report.scores.auc > 0.8
        assert report.settings["models with the canary"] + report.settings["models without the canary"] == 64
        assert report.bound.method.startswith("order_statistics")

    def test_training_stops_once_the_claim_is_refuted(self):
        trainer = ShadowTrainer(network, lr=0.5, steps=300, sample_rate=0.3, seed=1)
        report = audit_by_shadow_models(
            trainer, (INPUTS, TARGETS), delta=1e-5, n_models=400, canary=CANARY, claim=claim(0.1), stop="rejected", group_size=8, rng=1
        )
        assert report.verdict == "violation"
        assert report.bound.method == "sequential"
        assert report.settings["models that exist"] < 400
        assert report.posterior is None


class TestStore:
    def test_finished_models_are_not_trained_again(self, tmp_path):
        settings = {"delta": 1e-5, "n_models": 8, "store": tmp_path / "store", "rng": 1}
        CALLS.clear()
        first = audit_by_shadow_models(tree, (INPUTS, TARGETS), **settings)
        assert len(CALLS) == 8
        (tmp_path / "store" / "group-00003.npz").unlink()
        again = audit_by_shadow_models(tree, (INPUTS, TARGETS), **settings)
        assert len(CALLS) == 9
        assert again.bound.epsilon == first.bound.epsilon
        np.testing.assert_array_equal(again.scores.score, first.scores.score)

    def test_another_experiment_is_refused(self, tmp_path):
        settings = {"delta": 1e-5, "n_models": 8, "store": tmp_path / "store"}
        audit_by_shadow_models(tree, (INPUTS, TARGETS), rng=1, **settings)
        for changed, data, train in ((1, (INPUTS[::-1], TARGETS), tree), (2, (INPUTS, TARGETS), tree), (1, (INPUTS, TARGETS), nothing)):
            with pytest.raises(StoreMismatch):
                audit_by_shadow_models(train, data, rng=changed, **settings)
        with pytest.raises(ValueError, match="rng"):
            audit_by_shadow_models(tree, (INPUTS, TARGETS), **settings)


class TestFailures:
    def test_training_code_that_fails_at_times_leaves_fewer_models(self):
        report = audit_by_shadow_models(broken, (INPUTS, TARGETS), delta=1e-5, n_models=32, rng=1)
        assert 0 < len(report.membership.failed_groups) < 32
        assert report.settings["models that exist"] == 32 - len(report.membership.failed_groups)
        assert "4711" not in json.dumps(report.to_dict())

    def test_a_dead_executor_is_an_error_that_lists_what_is_missing(self):
        class Dying(ThreadPoolExecutor):
            def submit(self, function, /, *arguments, **options):
                self.n_given = getattr(self, "n_given", 0) + 1
                if self.n_given > 3:
                    raise RuntimeError("cannot schedule new futures after shutdown")
                return super().submit(function, *arguments, **options)

        CALLS.clear()
        with Dying(1) as pool, pytest.raises(ShadowRunFailed, match="executor died.*groups of models are missing"):
            audit_by_shadow_models(tree, (INPUTS, TARGETS), delta=1e-5, n_models=64, executor=pool, rng=1)

    def test_too_few_models(self):
        with pytest.raises(ShadowRunFailed, match="RuntimeError"):
            audit_by_shadow_models(lambda part, rng: broken((part[0][:1], part[1]), rng), (INPUTS, TARGETS), delta=1e-5, n_models=4, rng=1)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"delta": 1.0}, ValueError, "delta"),
        ({"level": 95}, ValueError, "level"),
        ({"n_models": 3}, ValueError, "n_models"),
        ({"attack": "magic"}, ValueError, "attack must be one of 'bayes_t'"),
        ({"attack": "rmia"}, ValueError, "population"),
        ({"attack": 7}, TypeError, "attack"),
        ({"stop": "soon"}, ValueError, "stop"),
        ({"stop": "rejected"}, ValueError, "canary"),
        ({"stop": "rejected", "canary": CANARY}, ValueError, "finite epsilon"),
        ({"canary": CANARY, "population": POPULATION}, ValueError, "population"),
        ({"population": (INPUTS[:3], TARGETS[:3])}, ValueError, "no audited record, got 3 of 3"),
        ({"canary": (INPUTS[:2], TARGETS[:2])}, ValueError, "one record"),
        ({"group_size": 0}, ValueError, "group_size"),
        ({"executor": "cloud"}, ValueError, "processes"),
        ({"claim": PrivacyGuarantee(1.0, 1e-5, Neighboring.REPLACE)}, ValueError, "add_remove"),
        ({"claim": PrivacyGuarantee(1.0, 1e-6, Neighboring.ADD_REMOVE)}, ValueError, "same delta"),
    ],
)
def test_bad_input_is_refused_before_anything_is_trained(changes, error, message):
    CALLS.clear()
    with pytest.raises(error, match=message):
        audit_by_shadow_models(tree, (INPUTS, TARGETS), **({"delta": 1e-5, "n_models": 8, "rng": 1} | changes))
    assert CALLS == []


def test_data_that_do_not_fit():
    with pytest.raises(ValueError, match="shapes"):
        audit_by_shadow_models(tree, (INPUTS, TARGETS[:5]), delta=1e-5)
    with pytest.raises(TypeError, match="train must be"):
        audit_by_shadow_models(5, (INPUTS, TARGETS), delta=1e-5)
    with pytest.raises(InsufficientEvidenceError):
        audit_by_shadow_models(tree, (INPUTS, TARGETS), delta=1e-5, n_models=4, canary=CANARY, rng=4, level=0.9)
