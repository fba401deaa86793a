"""Fixtures that every test may use."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real treebanks and models beside the checkout; its tests are skipped where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip("needs the treebanks and the encoder in ../shared")
    return SHARED
