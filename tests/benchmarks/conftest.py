"""Tests of the benchmark's parts use the real application, as those of the services do."""

from tests.services.conftest import app, caller

__all__ = ["app", "caller"]
