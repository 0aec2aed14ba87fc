"""How long each step of solving may take."""

import math
import time

import numpy as np

from routing.grid import Ints

__all__ = ["hopeful_until", "model_limit_ms", "search_coupled_until", "search_until"]

PAIR_MS = 0.06
"""To build and presolve the exact model, for each line that a slot could take."""

OVERSHOOT_MS = 3.0
"""The exact model ends so much after its limit, at most, on a machine that does nothing else."""

MODEL_LEAST_MS = 20.0
"""Less than this is not worth building the exact model for."""

MODEL_SHARE = 0.1
"""Of the time left when the search begins, for the exact model."""

MODEL_LEAST_S = 0.2
"""Time below which there is none for the exact model."""

SHORT_S = 0.005
"""Time for a search up to which others are thought to wait."""

COUPLED_SHARE = 0.3
"""Of the time left, for the search of slots that limits couple, where the exact model has enough in
the rest: bounds know nothing of limits, and the model closes what they leave."""


def search_until(deadline: float) -> float:
    """When the search is to end: where there is time for the exact model, before the deadline."""
    left = deadline - time.perf_counter()
    return deadline - MODEL_SHARE * left if MODEL_LEAST_S < left < math.inf else deadline


def hopeful_until(deadline: float) -> float:
    """When a search until `deadline` is to end where its gap is wide; never where there is time.

    Orders get little time when others wait, who make more of it.
    """
    left = deadline - time.perf_counter()
    return deadline - left / 2 if left <= SHORT_S else math.inf


def search_coupled_until(units_max: Ints, deadline: float) -> float:
    """When the search is to end where limits couple the slots of `units_max` `[K, I]`."""
    until = time.perf_counter() + COUPLED_SHARE * (deadline - time.perf_counter())
    return until if model_limit_ms(units_max, deadline, until) > 0 else search_until(deadline)


def model_limit_ms(units_max: Ints, deadline: float, since: float | None = None) -> float:
    """How long the exact model of these slots may take, 0 where that is too little to start it.

    It starts now, or at `since`, and looks at its limit only now and then, and not at all until it is
    built and presolved.
    """
    left_s = deadline - (time.perf_counter() if since is None else since)
    left_ms = left_s * 1000 - OVERSHOOT_MS
    return (
        left_ms if left_ms >= MODEL_LEAST_MS + PAIR_MS * int(np.count_nonzero(units_max)) else 0.0
    )
