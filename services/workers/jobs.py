"""Which jobs there are, and how often each runs."""

from services.orders import counter, lifecycle
from services.retention import maintain_partitions
from services.settings import Settings
from services.workers.runner import Job

HOUR_MS = 3_600_000


def all_jobs(settings: Settings) -> list[Job]:
    """Return every job of the background worker."""
    return [
        Job("expire allocations", settings.sweep_ms, lifecycle.expire_due),
        Job("expire counter reservations", settings.sweep_ms, counter.expire_due),
        Job("maintain partitions", HOUR_MS, maintain_partitions),
    ]
