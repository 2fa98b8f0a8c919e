"""What tests of pages share: one browser a file."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.report.devtools import Browser, find_browser, running_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = find_browser()
    if path is None:
        reason = "no Chromium on the path; on Debian: apt-get install chromium"
        if os.environ.get("CI"):
            raise FileNotFoundError(reason)
        pytest.skip(reason)
    with running_browser(path) as running:
        yield running
