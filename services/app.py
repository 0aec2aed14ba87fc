"""The HTTP application of one worker: handlers, access, problems and the API document."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

from litestar import Litestar, Router
from litestar.middleware import DefineMiddleware
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Tag
from litestar.static_files import create_static_files_router

from services import __version__
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
    stock,
    store,
    strategies,
    transfers,
    webhooks,
    work,
)
from services.http.access import KeyMiddleware, guard_role, name_scopes
from services.http.document import complete
from services.http.door import Door
from services.http.examples import show_examples
from services.observe import Journal, configure_logging
from services.problems import Refused, handle
from services.runtime import Runtime, prepare
from services.settings import Settings

ASSETS = "/docs/assets"
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
TAGS = [
    Tag("checkout", "Plan a basket, hold its stock, confirm it."),
    Tag("availability", "What can be sold, where and by when."),
    Tag("store", "Reserve for the customer at the counter."),
    Tag("orders", "Whole orders: their parts, and what keeps them back."),
    Tag("work", "What nodes do for orders, step by step."),
    Tag("exceptions", "What nodes could not do, and what a person decides about it."),
    Tag("returns", "Goods that come back, and what is given for them."),
    Tag("stock", "What is on hand, how it moves, and feeds of it."),
    Tag("planner", "Nodes, items and the network's costs and dates."),
    Tag("strategies", "By which prices and limits orders are routed, and which order by which."),
    Tag("partner", "Be told of what happens, and tell what partners did."),
    Tag("staff", "Sign in and out."),
    Tag("events", "What happened, to an order or at all, and to whom."),
    Tag("operator", "Health and metrics."),
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
        route_handlers=[*HANDLERS, documents()],
        lifespan=[lifespan],
        guards=[guard_role],
        middleware=[
            DefineMiddleware(
                KeyMiddleware, exclude=["^/docs"], exclude_from_auth_key="exclude_from_auth"
            )
        ],
        exception_handlers={Exception: handle, Refused: handle},
        openapi_config=openapi(),
        request_max_body_size=settings.body_bytes_max,
        logging_config=None,
    )
    complete(app)
    show_examples(app.openapi_schema)
    return Door(app, resources, Journal(settings.log_level))


def documents() -> Router:
    """Return the router of Swagger UI's files, which come with an installed package."""
    spec = find_spec("mkdocs_swagger_ui_tag")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package that carries Swagger UI is not installed")
    return create_static_files_router(
        path=ASSETS,
        directories=[Path(spec.origin).parent / "swagger-ui"],
        include_in_schema=False,
        opt={"exclude_from_auth": True},
    )


def openapi() -> OpenAPIConfig:
    """Return what the API document says beyond the handlers."""
    return OpenAPIConfig(
        title="nom",
        version=__version__,
        path="/docs",
        summary="Stock for the whole network, and the best way to fulfill each order from it.",
        description=(
            "Send `Authorization: Bearer KEY` with every call, and an `Idempotency-Key` with every "
            "POST that has an effect. Errors are `application/problem+json` (RFC 9457). Instants "
            "are UTC, dates are local to the destination or node, money is in minor units."
        ),
        render_plugins=[
            SwaggerRenderPlugin(
                path="/",
                js_url=f"{ASSETS}/javascripts/swagger-ui-bundle.js",
                css_url=f"{ASSETS}/stylesheets/swagger-ui.css",
                standalone_preset_js_url=f"{ASSETS}/javascripts/swagger-ui-standalone-preset.js",
                # Litestar's own icon would be fetched from elsewhere.
                favicon='<link rel="icon" href="data:,">',
            )
        ],
        components=Components(
            security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}
        ),
        security=[{"key": []}],
        tags=TAGS,
        use_handler_docstrings=True,
    )
