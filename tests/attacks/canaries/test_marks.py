"""Canary records: how they travel, and what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from attacks.canaries.marks import CanaryDataset, check_markable, mark, read_marks


def records(n: int = 5, shape: tuple[int, ...] = (2, 3), dtype: torch.dtype = torch.float32) -> TensorDataset:
    return TensorDataset(torch.ones((n, *shape), dtype=dtype), torch.arange(n))


@given(
    st.lists(st.integers(0, 99), unique=True, min_size=1, max_size=20),
    st.sampled_from([torch.float32, torch.float64, torch.float16, torch.int16, torch.int64]),
    st.permutations(range(20)),
)
def test_a_mark_is_read_back_in_any_order(ids, dtype, order):
    data = CanaryDataset(records(dtype=dtype), ids)
    picked = [data[i % len(data)] for i in order]
    batch = torch.stack([x for x, _ in picked])
    places, canary_id = read_marks(batch, 100)
    expected = [100 if i % len(data) < 5 else ids[i % len(data) - 5] for i in order]
    assert canary_id.tolist() == expected
    assert places.tolist() == [row for row, number in enumerate(expected) if number < 100]


def test_marks_survive_reshaping_and_moving_but_not_arithmetic():
    row = mark(torch.ones(3, 4), 7)[None]
    assert read_marks(row.reshape(1, -1).double(), 10)[1].item() == 7
    for changed in (row * 2, row + 1, row / 255, (row - 0.5) / 0.5):
        with pytest.raises(ValueError, match="does not carry a canary's number"):
            read_marks(changed, 10)


def test_a_real_record_that_starts_with_nan_is_refused_not_guessed():
    batch = torch.rand(4, 6)
    batch[2, 0] = float("nan")
    with pytest.raises(ValueError, match="no real record may start with NaN") as caught:
        read_marks(batch, 10)
    assert str(float(batch[2, 1]))[:5] not in str(caught.value)  # no record's value in a message


def test_numbers_outside_the_probe_are_refused():
    with pytest.raises(ValueError, match="canary's number"):
        read_marks(mark(torch.ones(5), 10)[None], 10)


def test_empty_batches_and_batches_without_canaries():
    places, canary_id = read_marks(torch.empty(0, 4), 3)
    assert len(places) == 0
    assert len(canary_id) == 0
    assert read_marks(torch.rand(2, 4), 3)[1].tolist() == [3, 3]


def test_items_keep_their_form_and_canaries_copy_the_other_fields():
    data = CanaryDataset(records(), [4])
    x, y = data[-1]
    assert x.shape == (2, 3)
    assert y == 0
    assert len(data) == 6
    assert isinstance(CanaryDataset([[torch.ones(3), 1]], [0])[1], list)
    assert torch.isnan(CanaryDataset([torch.ones(3)], [0])[1][0])
    assert len(next(iter(DataLoader(data, batch_size=6)))[0]) == 6


def test_large_canary_sets_are_made_one_by_one(monkeypatch):
    ahead = CanaryDataset(records(), [1, 2])
    monkeypatch.setattr("attacks.canaries.marks.MADE_AHEAD", 0)
    asked = CanaryDataset(records(), [1, 2])
    for i in range(7):
        assert torch.equal(ahead[i][0].nan_to_num(-1), asked[i][0].nan_to_num(-1))


@pytest.mark.parametrize(
    ("example", "largest", "message"),
    [
        (torch.ones(2), 3, "at least 3 elements"),
        (torch.ones(4, dtype=torch.uint8), 3, "signed whole number"),
        (torch.ones(4, dtype=torch.bool), 3, "signed whole number"),
        (torch.ones(4, dtype=torch.float16), 3000, "at most 2048"),
        (torch.ones(4, dtype=torch.bfloat16), 300, "at most 256"),
    ],
)
def test_inputs_that_cannot_carry_a_mark(example, largest, message):
    with pytest.raises(ValueError, match=message):
        check_markable(example, largest)


def test_data_sets_that_cannot_carry_canaries():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(())

    with pytest.raises(TypeError, match="map-style"):
        CanaryDataset(Stream(), [0])
    with pytest.raises(ValueError, match="empty"):
        CanaryDataset(records(0), [0])
    with pytest.raises(TypeError, match="starts with a tensor"):
        CanaryDataset([(np.ones(3), 1)], [0])
