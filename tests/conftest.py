"""Fixtures that every test may use."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import launched

# Tiny models run fastest on one thread, and several test runs beside each other do not slow one another down.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests do not use the network: a model on the Hub counts as missing.
os.environ["HF_HUB_OFFLINE"] = "1"

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real treebanks and models beside the checkout; its tests are skipped where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("needs the treebanks and the encoder in ../shared")
    return SHARED


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium, the same for all tests of pages and of the site; they are skipped where it is not installed."""
    with launched() as found:
        yield found
