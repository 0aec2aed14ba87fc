"""Calls of the operator: is it alive, can it work, what does it do."""

import os
from typing import Literal

import asyncpg
import msgspec
from litestar import Response, get
from litestar.datastructures import State
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

from services import records
from services.http.access import allow
from services.http.answers import raises
from services.observe import render_metrics
from services.runtime import Runtime

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPEN = {"exclude_from_auth": True}
NOT_READY = 503


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the process is."""

    status: Literal["ok", "unavailable"]
    reason: str | None = None


UNREACHABLE = Health("unavailable", "The database does not answer.")


@get("/health/live", opt=OPEN, tags=["operator"])
async def live() -> Health:
    """Say that the process runs; restart it when this stops answering."""
    return Health("ok")


@get(
    "/health/ready",
    opt=OPEN,
    responses={
        NOT_READY: ResponseSpec(
            Health,
            generate_examples=False,
            description="Orders cannot be taken now.",
            examples=[Example(value=UNREACHABLE)],
        )
    },
    tags=["operator"],
)
async def ready(state: State) -> Response[Health]:
    """Say whether orders can be taken; send no traffic while this is 503."""
    runtime: Runtime = state.runtime
    try:
        async with runtime.database.connect() as connection:
            await records.database_now(connection)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return Response(UNREACHABLE, status_code=NOT_READY)
    if runtime.network.polling.failing:
        return Response(
            Health("unavailable", "The network of nodes cannot be read."), status_code=NOT_READY
        )
    if runtime.stock.is_stale:
        return Response(Health("unavailable", "The stock cannot be read."), status_code=NOT_READY)
    return Response(Health("ok"))


@get(
    "/metrics",
    opt=allow("operator"),
    media_type=METRICS_TYPE,
    responses=raises(),
    tags=["operator"],
)
async def metrics() -> bytes:
    """Give the metrics of all workers in Prometheus' text format."""
    return render_metrics(dict(os.environ))


handlers = [live, ready, metrics]
