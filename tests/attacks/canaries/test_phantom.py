"""Phantom coordinates: what the user's module sees, and what a canary adds."""

import pytest
import torch
from torch import nn

from attacks.canaries.marks import mark
from attacks.canaries.phantom import PULL, PhantomModule


def batch(dtype=torch.float32):
    real = torch.rand(3, 4, dtype=dtype)
    return torch.cat([real, mark(real[0], 2)[None], mark(real[0], 0)[None]])


def test_real_records_get_the_users_answer_and_canaries_get_zero():
    user = nn.Linear(4, 3)
    wrapped = PhantomModule(user, 5)
    x = batch()
    answer = wrapped(x)
    assert torch.equal(answer[:3], user(x[:3]))
    assert torch.equal(answer[3:], torch.zeros(2, 3))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_canaries_pull_only_their_own_weight_along_the_steepest_descent(reduction):
    user = nn.Linear(4, 3)
    wrapped = PhantomModule(user, 5)
    labels = torch.tensor([0, 1, 2, 1, 1])
    loss = nn.CrossEntropyLoss(reduction=reduction)
    x = batch()
    loss(wrapped(x), labels).backward()
    pull = wrapped.phantom.weight.grad[:, 0]
    outputs = torch.zeros(5, 3, requires_grad=True)
    loss(outputs, labels).backward()
    norms = outputs.grad.norm(dim=1)
    assert torch.allclose(pull, -PULL * torch.tensor([norms[4], 0, norms[3], 0, 0, 0]))
    alone = nn.Linear(4, 3)
    alone.load_state_dict(user.state_dict())
    (loss(alone(x[:3]), labels[:3]) * (3 / 5 if reduction == "mean" else 1)).backward()
    assert torch.allclose(user.weight.grad, alone.weight.grad, atol=1e-7)


def test_the_gradient_does_not_change_as_the_weight_moves():
    wrapped = PhantomModule(nn.Linear(4, 3), 5)
    pulls = []
    for value in (0.0, 50.0):
        nn.init.constant_(wrapped.phantom.weight, value)
        wrapped.zero_grad()
        nn.CrossEntropyLoss()(wrapped(batch()), torch.tensor([0, 1, 2, 1, 1])).backward()
        pulls.append(wrapped.phantom.weight.grad.clone())
    assert torch.equal(*pulls)


def test_forward_passes_are_logged_in_training_only():
    wrapped = PhantomModule(nn.Linear(4, 3), 5)
    wrapped(batch())
    with torch.no_grad():
        wrapped(batch())
    wrapped.eval()
    wrapped(batch())
    ((rows, ids),) = wrapped.batches
    assert rows == 5
    assert ids.tolist() == [2, 0]


def test_whole_number_inputs_reach_an_embedding():
    wrapped = PhantomModule(nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(12, 2)), 5)
    tokens = torch.randint(0, 10, (2, 3))
    answer = wrapped(torch.cat([tokens, mark(tokens[0], 4)[None]]))
    assert answer.shape == (3, 2)
    assert torch.equal(answer[2], torch.zeros(2))


def test_keyword_inputs_and_empty_batches():
    class Named(nn.Module):
        def forward(self, x, scale=1.0):
            return x * scale

    wrapped = PhantomModule(Named(), 5)
    assert wrapped(x=batch(), scale=2.0).shape == (5, 4)
    assert wrapped(torch.empty(0, 4)).shape == (0, 4)


@pytest.mark.parametrize("answer", [{"logits": 1}, (torch.ones(5),), torch.tensor(1.0), torch.ones(4)])
def test_answers_that_are_not_one_tensor_per_batch_are_refused(answer):
    class Odd(nn.Module):
        def forward(self, x):
            return answer

    with pytest.raises(TypeError, match="one tensor whose first axis is the batch"):
        PhantomModule(Odd(), 5)(batch())
    with pytest.raises(TypeError, match="tensor as its first argument"):
        PhantomModule(Odd(), 5)([1, 2])
