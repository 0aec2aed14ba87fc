"""Settings: every limit of the running service, with its unit and default, from `NOM_…` variables."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Self

import msgspec

from services import ranges

PREFIX = "NOM_"
SPARE_CONNECTIONS = 4
"""Connections of a worker beside its lanes: reads, other writes, the polls of network and stock."""
BACKGROUND_CONNECTIONS = 8
"""Connections of the background worker: a job in each, and the renewal of leases."""
SENDER_CONNECTIONS = 3
"""Connections of the process that sends webhooks; none is held while it waits for an answer."""


class SettingsError(ValueError):
    """A setting has a value that cannot be used; the message names the variable and says why."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator can set. Field `x` is read from the variable `NOM_X`."""

    home: Path = Path(".nom")
    """Folder of the embedded PostgreSQL's data and of run-time files."""
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    """HTTP worker processes."""
    lanes: int = 2
    """Allocation batches a worker commits side by side."""
    database_url: str | None = None
    """An existing PostgreSQL, from `DATABASE_URL`; the embedded one of `home` when absent."""
    currency: str = "USD"
    """ISO 4217 code of every amount of this deployment."""
    log_level: str = "info"
    """The least that is logged: `debug`, `info`, `warning` or `error`."""
    body_bytes_max: int = 1_000_000
    head_bytes_max: int = 65_536
    """Longest address and headers of a request; beyond it the connection is closed."""
    receive_ms: int = 30_000
    """Time a request may take to arrive; after it the connection is closed."""
    batch_orders_max: int = 64
    """Orders solved and committed together at most."""
    batch_lines_max: int = 160
    """Lines of a batch, so that short baskets do not wait for many long ones; one order always."""
    queue_orders_max: int = 512
    """Orders that may wait in one worker, however fast it is; beyond it the answer is 429."""
    queue_wait_ms: int = 60
    """Time an order may wait for its turn at the worker's pace of late; beyond it 429, too."""
    refusal_ms: int = 250
    """How late a 429 is sent, so that callers who ask again at once cannot use up the worker."""
    refusals_held_max: int = 400
    """Connections of one worker on which a 429 waits to be sent; beyond it they go at once."""
    reads_max: int = 512
    """Quotes and questions about availability under way in one worker; beyond it 429."""
    answers_kept_bytes_max: int = 64_000_000
    """Memory of one worker for answers about availability and parts of them; 0 keeps none."""
    connections_max: int = 1_000
    """Connections of callers that one worker holds; beyond it a request is answered 503."""
    decision_ms: int = 50
    """Time the optimizer may take for one order before it answers with its best plan so far."""
    decision_min_ms: int = 5
    """What is left of that, at the least, when many orders wait."""
    queue_ms: int = 500
    """Time in which the orders that wait should be decided; they share it when it runs short."""
    deadline_ms: int = 5_000
    """Time an allocation may take from arrival to answer before it is given up with 503."""
    attempts_max: int = 3
    """Lost races after which an order is answered `contended`."""
    solver_threads: int = 2
    resource_ms: int = 200
    """Time the optimizer may take to find another place for units that a node gave up."""
    resource_tries: int = 3
    """Plans for them that may lose their race before a person is asked."""
    attempts_per_line_max: int = 5
    """Nodes that may give up units one after the other before a person is asked."""
    resource_silent: bool = False
    """Whether work that was not answered in time is given to others by itself."""
    shortage_sweep_ms: int = 1_000
    """Pause between two looks for promises without goods behind them."""
    exceptions_retry_ms: int = 2_000
    """Pause between two looks for exceptions that something has come in for."""
    hold_default_s: int = 900
    """How long an allocation is held unless the caller says otherwise."""
    hold_max_s: int = 900
    """Longest hold or extension a checkout may ask for at once."""
    hold_total_max_s: int = 7_200
    """Longest an allocation may be held in all before it is confirmed or expires."""
    staff_hold_max_s: int = 604_800
    """Longest a store may hold stock for a customer."""
    receipt_over_percent: int = 10
    """How much more of a supply than expected is taken in without asking, in percent."""
    amend_quote_s: int = 900
    """How long the quote of a change to an order may be accepted."""
    hindsight_orders_max: int = 2_000
    """Orders of a day that are looked at in hindsight; a sample of so many where there are more."""
    hindsight_limit_s: int = 60
    """Time that may take, once a day."""
    sweep_ms: int = 200
    """Pause between two sweeps for expired reservations."""
    network_poll_ms: int = 1_000
    """How often a worker looks whether nodes, lanes or calendars have changed."""
    stock_poll_ms: int = 50
    """How often a worker looks whether stock has changed elsewhere."""
    event_poll_ms: int = 100
    """How often events that were committed get their positions in the log."""
    event_streams_max: int = 200
    """Streams of events that one worker keeps open; beyond it 429."""
    event_streams_per_key_max: int = 20
    """Of them with one key."""
    event_stream_s: float = 3_600
    """How long one stream goes on; its client then comes again and says how far it has come."""
    event_heartbeat_s: float = 15
    """How often a stream on which nothing happens shows that it lives."""
    checkout_requests_per_s: float = 0
    """Calls that one key of this role may make of one worker in the long run; 0 for any number."""
    store_requests_per_s: float = 500
    partner_requests_per_s: float = 500
    planner_requests_per_s: float = 500
    operator_requests_per_s: float = 500
    request_burst_s: float = 10
    """Seconds' worth of them that may come at once."""
    session_s: int = 43_200
    """How long staff stays signed in."""
    sign_in_window_s: int = 900
    """How long an attempt to sign in that failed counts."""
    sign_in_name_max: int = 10
    """Attempts for one name within it; beyond them nobody can sign in by that name for a while."""
    sign_in_address_max: int = 100
    """The same for one address of a caller, which behind a proxy is everybody's; 0 for any."""
    contact_days: int = 90
    """Days after the last work of an order ended for which it is kept whom it was for."""
    key_cache_s: float = 2.0
    """How long a worker trusts a key it has looked up; a revoked key stops working after it."""
    release_window_s: int = 0
    """How long after a confirm the work for its nodes can still be changed before it is submitted."""
    rearrange_ms: int = 60_000
    """Pause between two looks for better places of work that is not submitted yet."""
    rearrange_limit_ms: int = 10_000
    """Time that planning it anew may take. Work released within twice of that is left alone."""
    rearrange_orders_max: int = 1_000
    """Orders that are planned anew together."""
    rearrange_moves_max: int = 0
    """Most orders that move in one look; 0 for any number."""
    rearrange_saving_minor: int = 1
    """What every move has to save on average."""
    answer_limit_s: int = 0
    """How long a node may take to accept or reject what is submitted to it; 0 for any time."""
    dimensional_divisor: int = 0
    """Cubic centimeters that carriers count as a kilogram, such as 5000; 0 prices weight alone."""
    collect_days: int = 7
    """Days for which goods wait at the counter for the customer who collects them."""
    pickup_tries_max: int = 5
    """Wrong pickup codes after which a new code is needed."""
    supply_grace_days: int = 2
    """Days after its date on which overdue supply is still promised from."""
    webhook_poll_ms: int = 200
    """How often the sender looks for messages that are due."""
    webhook_deliveries_max: int = 8
    """Deliveries under way at one endpoint."""
    webhook_timeout_ms: int = 15_000
    """Time one delivery may take, from looking up the address to the end of the answer."""
    webhook_retry_ms: int = 5_000
    """Pause before the second attempt; the later ones, over three days, are multiples of it."""
    webhook_pause_max_ms: int = 60_000
    """Longest pause between two probes of an endpoint that only fails."""
    webhook_retry_after_max_s: int = 86_400
    """Longest that a receiver's Retry-After is honored."""
    webhook_disable_after_h: int = 120
    """Hours of nothing but failures after which an endpoint is disabled."""
    webhook_body_bytes_max: int = 262_144
    """Largest message; a larger one is told without its details, to be read from the API."""
    webhook_allow: str = ""
    """Networks beside public addresses that may be sent to, also without TLS: `127.0.0.0/8,…`."""
    secret_overlap_h: int = 24
    """Hours for which an endpoint's old secret still signs after it was rotated."""
    feed_stale_h: int = 0
    """Hours after which a partner's feed that has not come again is an exception; 0 for never."""
    prices_refresh_s: int = 3_600
    """Pause between two runs that learn prices from what was sold and refused; 0 for none."""
    prices_stale_s: int = 86_400
    """Age from which on learned prices count as none."""
    prices_window_days: int = 91
    """How far back is looked for what prices are learned from."""
    prices_half_life_days: int = 28
    """Days after which what happened counts half."""
    prices_replenish_days: int = 7
    """Days after which stores are supplied, where no delivery is expected."""
    prices_orders_max: int = 2_000
    """Recorded orders that stand for those to come; 0 leaves prices for orders to come out."""
    prices_periods: int = 4
    """Past periods that they are taken from, each priced by itself; the mean is the price."""
    prices_steps: int = 20
    """Steps in which those prices are moved, each a decision of every one of these orders."""
    prices_orders_s: int = 60
    """Time for finding those prices."""
    prices_short_minor: int = 5_000
    """What a unit that an order goes without counts at most, where prices are learned."""
    prices_replay_periods: int = 4
    """Past periods on which the weights of prices are tried; 0 leaves them as they are."""
    prices_replay_orders_min: int = 200
    """Orders that have to be in them."""
    prices_replay_s: int = 86_400
    """Pause between two such trials."""
    import_chunk_rows: int = 2_000
    """Rows of a file that `nom import` locks and applies in one transaction."""
    import_chunk_ms: int = 25
    """Time one such transaction may take; beyond it the next one gets fewer rows."""
    lock_timeout_ms: int = 2_000
    statement_timeout_ms: int = 10_000
    decision_records: bool = True
    """Whether decision records are written; off only to measure what they cost."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Return the settings in `environ`, unset ones at their defaults.

        Raises `SettingsError` that names every variable whose value is not of its kind, out of
        range or at odds with another, with the value and what is allowed.
        """
        values: dict[str, Any] = {}
        wrong: dict[str, str] = {}
        for field in msgspec.structs.fields(cls):
            name = variable(field.name)
            if name in environ:
                try:
                    values[field.name] = ranges.read(field.name, field.type, environ[name])
                except ValueError as error:
                    wrong[field.name] = f"{said(name, environ[name])}; give {error}."
        settings = cls(**values)
        at_odds = [
            f"{variable(low)} is {getattr(settings, low)}; give at most what "
            f"{variable(high)} is, {getattr(settings, high)}."
            for low, high in ranges.one_above_another(settings, wrong)
        ]
        if wrong or at_odds:
            raise SettingsError("\n".join((*wrong.values(), *at_odds)))
        return settings

    @property
    def rates(self) -> dict[str, tuple[float, float]]:
        """Calls a second that one key may make, and how many at once, by role."""
        per_s = {
            "checkout": self.checkout_requests_per_s,
            "store": self.store_requests_per_s,
            "partner": self.partner_requests_per_s,
            "planner": self.planner_requests_per_s,
            "operator": self.operator_requests_per_s,
        }
        return {role: (rate, rate * self.request_burst_s) for role, rate in per_s.items()}

    @property
    def worker_connections(self) -> int:
        """Connections that one HTTP worker may open."""
        return self.lanes + SPARE_CONNECTIONS

    @property
    def connections_needed(self) -> int:
        """Connections that the whole service may open."""
        return self.workers * self.worker_connections + BACKGROUND_CONNECTIONS + SENDER_CONNECTIONS

    @property
    def webhook_networks(self) -> tuple[ranges.Network, ...]:
        """The networks of `webhook_allow`; raises ValueError for what is none."""
        return ranges.networks(self.webhook_allow)


def variable(field: str) -> str:
    """Return the environment variable of a field; `DATABASE_URL` has the name everyone uses."""
    return "DATABASE_URL" if field == "database_url" else PREFIX + field.upper()


def said(name: str, text: str) -> str:
    """Return what a variable was given, but for a URL, which may have a password in it."""
    return f"{name} cannot be used" if name == "DATABASE_URL" else f"{name} is {text!r}"


def unknown(environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for each `NOM_…` variable that no setting is read from."""
    known = [variable(name) for name in Settings.__struct_fields__]
    return [
        f"{name} is no setting and does nothing."
        + "".join(f" {near} is one." for near in get_close_matches(name, known, 1))
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in known
    ]
