import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from attacks.distribution.findings import size_findings
from attacks.distribution.samples import pooled

SAMPLE = st.lists(st.integers(0, 11), min_size=1, max_size=20).map(np.array)


@given(st.lists(SAMPLE, min_size=1, max_size=5))
def test_pool_holds_every_sample_with_its_copies(ids):
    pool = pooled(ids, 12)
    for sample, member in zip(ids, pool.member, strict=True):
        assert sorted(sample.tolist()) == pool.rows[member].tolist()
    assert pool.member.any(axis=0).all()


def test_sizes_that_tell_the_world_are_found(rng):
    same = rng.integers(390, 411, size=(2, 100))
    names = [
        [finding.name for finding in size_findings((0.5, 0.2), sizes)] for sizes in (np.full((2, 5), 7), same, np.add(same, [[0], [20]]))
    ]
    assert names == [[], ["size_varies"], ["size_side_channel"]]  # false alarm of the second: below 1e-6, 5 standard errors
