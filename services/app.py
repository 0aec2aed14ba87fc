"""The HTTP application of one worker: handlers, access and problems."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.middleware import DefineMiddleware

from services.http import (
    amend,
    availability,
    checkout,
    counts,
    departures,
    events,
    exceptions,
    handover,
    kpis,
    operator,
    orders,
    partner_events,
    partners,
    people,
    planner,
    prices,
    promises,
    receipts,
    returns,
    sessions,
    slots,
    stock,
    store,
    strategies,
    transfers,
    webhooks,
    work,
)
from services.http.access import KeyMiddleware, guard_role, name_scopes
from services.http.docs import PAGE, documentation
from services.http.door import Door
from services.http.parameters import guard_parameters
from services.observe import Journal, configure_logging
from services.problems import Refused, handle
from services.runtime import Runtime, prepare
from services.settings import Settings

HANDLERS = [
    *checkout.handlers,
    *promises.handlers,
    *availability.handlers,
    *store.handlers,
    *handover.handlers,
    *work.handlers,
    *departures.handlers,
    *orders.handlers,
    *counts.handlers,
    *receipts.handlers,
    *transfers.handlers,
    *returns.handlers,
    *amend.handlers,
    *planner.handlers,
    *slots.handlers,
    *strategies.handlers,
    *prices.handlers,
    *kpis.handlers,
    *stock.handlers,
    *people.handlers,
    *exceptions.handlers,
    *events.handlers,
    *sessions.handlers,
    *partners.handlers,
    *webhooks.handlers,
    *partner_events.handlers,
    *operator.handlers,
]


def create_app(settings: Settings, runtime: Runtime | None = None) -> Door:
    """Return the application; it connects when it is started and lets go when it is stopped.

    It works on `runtime` where one is given, such as one with another allocator to measure the way
    through HTTP alone (`server.serve` serves it), and else on what `settings` describe. Raises
    `ValueError` when no database is named: the supervisor names the embedded one.
    """
    return furnished(framework(settings.body_bytes_max), settings, runtime)


def framework(body_bytes_max: int) -> Litestar:
    """Return handlers, access and problems without anything to work on: see `furnished`."""
    name_scopes(HANDLERS)
    return Litestar(
        route_handlers=[*HANDLERS, *documentation(HANDLERS)],
        lifespan=[lifespan],
        guards=[guard_role, guard_parameters],
        middleware=[
            DefineMiddleware(
                KeyMiddleware, exclude=[f"^{PAGE}"], exclude_from_auth_key="exclude_from_auth"
            )
        ],
        exception_handlers={Exception: handle, Refused: handle},
        openapi_config=None,
        request_max_body_size=body_bytes_max,
        logging_config=None,
    )


def furnished(app: Litestar, settings: Settings, runtime: Runtime | None = None) -> Door:
    """Return `app` with resources to work on, one runtime at a time; see `create_app`."""
    configure_logging(settings.log_level)
    app.state.runtime = runtime or prepare(settings)
    return Door(app, app.state.runtime, Journal(settings.log_level))


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Open the resources for as long as the application runs."""
    runtime: Runtime = app.state.runtime
    await runtime.open()
    try:
        yield
    finally:
        await runtime.close()
