"""Data sets of an audit: parts of the kind that was given, fingerprints in order, refusals without values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import Subset, TensorDataset

from attacks.shadow.records import as_records

INPUTS, TARGETS = np.arange(12.0).reshape(6, 2), np.array([0, 1, 0, 1, 0, 1])
MEMBER = np.array([1, 0, 0, 1, 1, 0], dtype=bool)


def test_a_part_of_arrays_is_a_pair_of_arrays():
    inputs, targets = as_records((INPUTS, TARGETS)).part(MEMBER)
    np.testing.assert_array_equal(inputs, INPUTS[MEMBER])
    np.testing.assert_array_equal(targets, TARGETS[MEMBER])


def test_a_part_of_tensors_is_a_pair_of_tensors():
    inputs, targets = as_records((torch.from_numpy(INPUTS), torch.from_numpy(TARGETS))).part(MEMBER)
    assert torch.equal(inputs, torch.from_numpy(INPUTS[MEMBER]))
    assert torch.equal(targets, torch.from_numpy(TARGETS[MEMBER]))


def test_a_part_of_a_torch_data_set_is_a_subset():
    data = TensorDataset(torch.from_numpy(INPUTS), torch.from_numpy(TARGETS))
    records = as_records(data, TensorDataset(torch.zeros(2, 2), torch.tensor([1, 1])))
    assert len(records) == 8
    part = records.part(np.append(MEMBER, [False, True]))
    assert isinstance(part, Subset)
    assert [int(part[i][1]) for i in range(len(part))] == [0, 1, 0, 1]
    np.testing.assert_array_equal(np.asarray(records.inputs)[:6], INPUTS)


def test_joined_data_sets_stand_one_after_the_other():
    records = as_records((INPUTS, TARGETS), None, (INPUTS[:1] + 100, TARGETS[:1]))
    np.testing.assert_array_equal(records.inputs, np.vstack([INPUTS, INPUTS[:1] + 100]))


def test_sequences_of_tokens():
    tokens = np.arange(24).reshape(6, 4)
    for data in ((tokens[:, :-1], tokens[:, 1:]), TensorDataset(torch.from_numpy(tokens[:, :-1]), torch.from_numpy(tokens[:, 1:]))):
        records = as_records(data)
        assert records.are_sequences
        assert records.n_shared(as_records((tokens[4:, :-1], tokens[4:, 1:]))) == 2
        np.testing.assert_array_equal(records.part(MEMBER)[1] if isinstance(data, tuple) else records.targets[MEMBER], tokens[MEMBER, 1:])
    assert not as_records((INPUTS, TARGETS)).are_sequences


def test_fingerprints_see_order_and_values():
    first = as_records((INPUTS, TARGETS)).fingerprints()
    assert as_records((INPUTS.copy(), TARGETS.copy())).fingerprints() == first
    assert as_records((INPUTS[::-1], TARGETS)).fingerprints()["inputs"] != first["inputs"]
    assert as_records((INPUTS, TARGETS[::-1])).fingerprints()["targets"] != first["targets"]


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ([(INPUTS, TARGETS[:5])], ValueError, "shapes"),
        ([(INPUTS[:0], TARGETS[:0])], ValueError, "N >= 1"),
        ([(INPUTS, TARGETS + 0.5)], ValueError, "whole numbers"),
        ([(INPUTS, TARGETS[:, None])], ValueError, "T >= 2"),
        ([(INPUTS, np.zeros((6, 2, 2), dtype=int))], ValueError, "shapes"),
        ([(INPUTS,)], TypeError, "pair"),
        ([(INPUTS, TARGETS), (INPUTS[:, :1], TARGETS)], ValueError, "one shape"),
        ([(INPUTS, TARGETS), TensorDataset(torch.zeros(1, 2), torch.zeros(1))], TypeError, "one kind"),
        ([7], TypeError, "torch data set"),
        ([TensorDataset(torch.zeros(3, 2))], TypeError, "pairs"),
        ([TensorDataset(torch.zeros(0, 2), torch.zeros(0))], ValueError, "at least one record"),
    ],
)
def test_bad_data_is_refused(data, error, message):
    with pytest.raises(error, match=message):
        as_records(*data)


def test_no_value_is_shown():
    assert repr(as_records((INPUTS, TARGETS))) == "AuditedRecords(n=6)"
