"""Fixtures of all tests. Statistical tests pass under any seed: `make stat SEED=7` runs the suite with another one."""

from __future__ import annotations

import os
import zlib

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("suite", deadline=None)  # a shared machine makes any wall time meaningless
settings.load_profile("suite")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator of the test's own, seeded by SEED (default 0) and the test's name."""
    return np.random.default_rng([int(os.environ.get("SEED", "0")), zlib.crc32(request.node.nodeid.encode())])
