"""The demonstration network, built once for all tests that look at it."""

import pytest

from services.demo.network import DemoNetwork, build

SEED = 1


@pytest.fixture(scope="session")
def network() -> DemoNetwork:
    """Return the network of seed 1, made from the real packages."""
    return build(SEED)
