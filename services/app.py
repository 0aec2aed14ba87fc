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
    configure_logging(settings.log_level)
    resources = runtime or prepare(settings)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        app.state.runtime = resources
        await resources.open()
        try:
            yield
        finally:
            await resources.close()

    name_scopes(HANDLERS)
    app = Litestar(
        route_handlers=[*HANDLERS, *documentation(HANDLERS)],
        lifespan=[lifespan],
        guards=[guard_role],
        middleware=[
            DefineMiddleware(
                KeyMiddleware, exclude=[f"^{PAGE}"], exclude_from_auth_key="exclude_from_auth"
            )
        ],
        exception_handlers={Exception: handle, Refused: handle},
        openapi_config=None,
        request_max_body_size=settings.body_bytes_max,
        logging_config=None,
    )
    return Door(app, resources, Journal(settings.log_level))
