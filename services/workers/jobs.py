"""Which jobs there are, and how often each runs."""

from functools import partial

from services.events.sequencer import number_events
from services.fulfillment.corrections import end_exclusions
from services.fulfillment.create import submit_due
from services.fulfillment.hindsight import look_back
from services.fulfillment.rearranging import Rearranging
from services.fulfillment.sweeps import Resourcing
from services.orders import counter, lifecycle
from services.partners.callbacks import apply_all_parked
from services.partners.fanout import write_messages
from services.partners.keeping import forget_old
from services.partners.staleness import watch_feeds
from services.people.customers import forget_contacts
from services.people.staff import forget_attempts
from services.prices.refresh import refresh_due
from services.retention import forget_changes, maintain_partitions
from services.settings import Settings
from services.workers.runner import Job

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
PARKED_MS = 5_000


def all_jobs(settings: Settings) -> list[Job]:
    """Return every job of the background worker."""
    resourcing = Resourcing(settings)
    rearranging = Rearranging(settings, Resourcing(settings))
    return [
        Job("expire allocations", settings.sweep_ms, lifecycle.expire_due),
        Job("expire counter reservations", settings.sweep_ms, counter.expire_due),
        Job("submit work", settings.sweep_ms, partial(submit_due, settings.answer_limit_s)),
        Job("relieve shortages", settings.shortage_sweep_ms, resourcing.relieve),
        Job("follow rejections", settings.shortage_sweep_ms, resourcing.follow_rejections),
        Job("retry exceptions", settings.exceptions_retry_ms, resourcing.retry),
        Job("mind silence", settings.exceptions_retry_ms, resourcing.mind_silence),
        Job("rearrange work", settings.rearrange_ms, rearranging.run),
        Job("end exclusions", settings.shortage_sweep_ms, end_exclusions),
        Job("number events", settings.event_poll_ms, number_events),
        Job("write messages", settings.event_poll_ms, write_messages),
        Job("apply parked partner events", PARKED_MS, apply_all_parked),
        Job("watch feeds", MINUTE_MS, partial(watch_feeds, settings.feed_stale_h)),
        Job("refresh prices", MINUTE_MS, partial(refresh_due, settings)),
        Job("forget messages", HOUR_MS, forget_old),
        Job("forget contacts", HOUR_MS, partial(forget_contacts, settings.contact_days)),
        Job("forget sign-ins", HOUR_MS, partial(forget_attempts, settings.sign_in_window_s)),
        Job("forget changes", MINUTE_MS, forget_changes),
        Job("look back on the day", HOUR_MS, partial(look_back, settings)),
        Job("maintain partitions", HOUR_MS, maintain_partitions),
    ]
