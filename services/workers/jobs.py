"""Which jobs there are, and how often each runs."""

from services.orders.lifecycle import expire_due
from services.settings import Settings
from services.workers.runner import Job


def all_jobs(settings: Settings) -> list[Job]:
    """Return every job of the background worker."""
    return [Job("expire", settings.sweep_ms, expire_due)]
