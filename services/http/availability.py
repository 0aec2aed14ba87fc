"""Calls about what can be sold, where and by when."""

from datetime import date
from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta

from services.http.access import allow
from services.http.answers import BODY, raises, respond
from services.http.fields import (
    NODES_MAX,
    SKUS_MAX,
    TEXT_PATTERN,
    Channel,
    Id,
    NodeFilter,
    SkuQuery,
    check_planned,
    utc_now,
)
from services.orders.idempotency import Answer
from services.orders.request import Destination, resolve
from services.planning.availability import Query
from services.planning.availability_answer import AvailabilityAnswer
from services.planning.network import Network
from services.problems import Refused
from services.runtime import Runtime

KINDS = ("unknown-sku", "unknown-node", "unknown-destination", "date-in-past")
ROLES = allow("checkout", "store", "planner", "operator")


class AvailabilityRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Skus to look for, and for whom."""

    skus: Annotated[list[Id], Meta(min_length=1, max_length=SKUS_MAX)]
    node_ids: Annotated[list[Id], Meta(min_length=1, max_length=NODES_MAX)] | None = None
    channel: Annotated[Id, Meta(description="Whose pool and buffers count.")] = "web"
    destination: Annotated[
        Destination | None, Meta(description="Without one there are no delivery dates.")
    ] = None
    on: Annotated[date | None, Meta(description="Date of `atp`; today without.")] = None
    matrix: Annotated[bool, Meta(description="Also every sku at every node.")] = False
    columns: Annotated[
        bool, Meta(description="The same as columns of numbers: a sixth of the bytes.")
    ] = False


async def answer(request: AvailabilityRequest, runtime: Runtime) -> Answer:
    """Return what can be sold; raises what `availability` does, and `unknown-destination`."""
    return Answer(200, await runtime.shelf.look(query_of(request, runtime.network.current)))


def query_of(request: AvailabilityRequest, network: Network) -> Query:
    """Return what a request asks of a network; raises `unknown-destination`."""
    if request.on is not None:
        check_planned("on", request.on, utc_now(), "invalid-parameter")
    destination = request.destination
    zone = resolve(destination, network) if destination else None
    place = None
    if destination and zone:
        place = (zone.latitude, zone.longitude)
        if destination.latitude is not None and destination.longitude is not None:
            place = (destination.latitude, destination.longitude)
    return Query(
        skus=request.skus,
        channel=request.channel,
        node_ids=request.node_ids,
        zone=zone,
        place=place,
        on=request.on,
        matrix=request.matrix,
        columns=request.columns,
    )


def destination_of(
    country: str | None, postal_code: str, latitude: float | None, longitude: float | None
) -> Destination | None:
    """Return the destination in a query string; raises `invalid-parameter` without its country."""
    if country is None:
        if postal_code or latitude is not None or longitude is not None:
            raise Refused("invalid-parameter", "country: send it with the rest of the destination.")
        return None
    return Destination(
        country=country, postal_code=postal_code, latitude=latitude, longitude=longitude
    )


@get(
    "/v1/availability",
    opt=ROLES,
    responses=raises(*KINDS, "too-many-requests"),
    tags=["availability"],
)
async def get_availability(  # noqa: PLR0913 - one argument for each parameter of the address
    *,
    state: State,
    sku: SkuQuery,
    node_id: NodeFilter = None,
    channel: Channel = "web",
    country: Annotated[str | None, QueryParameter(pattern="^[A-Z]{2}$")] = None,
    postal_code: Annotated[str, QueryParameter(max_length=20, pattern=TEXT_PATTERN)] = "",
    latitude: Annotated[float | None, QueryParameter(ge=-90, le=90)] = None,
    longitude: Annotated[float | None, QueryParameter(ge=-180, le=180)] = None,
    on: Annotated[date | None, QueryParameter(description="Date of `atp`; today without.")] = None,
    matrix: Annotated[bool, QueryParameter(description="Also every sku at every node.")] = False,
    columns: Annotated[
        bool, QueryParameter(description="The same as columns of numbers: a sixth of the bytes.")
    ] = False,
) -> Response[AvailabilityAnswer]:
    """Tell what can be sold of each sku, from where, and when the customer would have it.

    Totals by method and the ten best nodes; with a destination also distances and delivery dates.
    Nothing is held: only an allocation holds stock.
    """
    request = AvailabilityRequest(
        skus=sku,
        node_ids=node_id,
        channel=channel,
        destination=destination_of(country, postal_code, latitude, longitude),
        on=on,
        matrix=matrix,
        columns=columns,
    )
    return respond(await answer(request, state.runtime), AvailabilityAnswer)


@post(
    "/v1/availability",
    status_code=200,
    opt=ROLES,
    responses=raises(*BODY, *KINDS, "impossible-coordinates", "too-many-requests"),
    tags=["availability"],
)
async def post_availability(
    data: JSONBody[AvailabilityRequest],
    state: State,
) -> Response[AvailabilityAnswer]:
    """Tell the same for lists that are too long for an address."""
    return respond(await answer(data, state.runtime), AvailabilityAnswer)


handlers = [get_availability, post_availability]
