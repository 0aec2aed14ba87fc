"""Calls for the product page and the cart: when it would come, and for how much."""

from typing import Annotated

from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import JSONBody, QueryParameter

from services.http.access import allow
from services.http.answers import BODY, raises, respond
from services.http.availability import destination_of
from services.http.checkout import PLAN_KINDS
from services.http.fields import TEXT_PATTERN, Channel, QueryId, SkuQuery
from services.orders.choices import PromisesAnswer
from services.orders.idempotency import answer
from services.orders.request import (
    LINES_MAX,
    QUANTITY_MAX,
    QuoteRequest,
    RequestLine,
    RequestPolicy,
)
from services.problems import Refused
from services.runtime import Runtime

ROLES = allow("checkout", "store", "planner")


@post(
    "/v1/promises",
    status_code=200,
    opt=ROLES,
    responses=raises(*PLAN_KINDS, *BODY),
    tags=["checkout"],
)
async def post_promises(data: JSONBody[QuoteRequest], state: State) -> Response[PromisesAnswer]:
    """Show what a customer can choose between for a basket, each with its dates and price.

    The plan the strategy recommends; if there are such, one that comes sooner and one that comes in
    a single parcel. With `policy.backorder`, what is in stock and what must be ordered are weighed
    together: two parcels sooner, or one later. Nothing is held.
    """
    runtime: Runtime = state.runtime
    return respond(answer(200, await runtime.allocator.choices(data)), PromisesAnswer)


@get(
    "/v1/promises",
    opt=ROLES,
    responses=raises(*PLAN_KINDS),
    tags=["checkout"],
)
async def get_promises(  # noqa: PLR0913 - one argument for each parameter of the address
    *,
    state: State,
    sku: SkuQuery,
    quantity: Annotated[int, QueryParameter(ge=1, le=QUANTITY_MAX)] = 1,
    channel: Channel = "web",
    country: Annotated[str | None, QueryParameter(pattern="^[A-Z]{2}$")] = None,
    postal_code: Annotated[str, QueryParameter(max_length=20, pattern=TEXT_PATTERN)] = "",
    pickup_node: QueryId = None,
    backorder: Annotated[
        bool, QueryParameter(description="Whether expected supply may be promised.")
    ] = False,
) -> Response[PromisesAnswer]:
    """Show when a product page's item would come, and the choices: the same as a basket of it.

    With `pickup_node` it is collected there, else shipped to the destination.
    """
    if len(sku) > LINES_MAX or len(set(sku)) < len(sku):
        raise Refused("invalid-parameter", f"sku: name each once, {LINES_MAX} at most.")
    request = QuoteRequest(
        lines=tuple(
            RequestLine(
                line_id=str(number),
                sku=each,
                quantity=quantity,
                method="ship" if pickup_node is None else "pickup",
                pickup_node=pickup_node,
            )
            for number, each in enumerate(sku, 1)
        ),
        channel=channel,
        destination=destination_of(country, postal_code, None, None),
        policy=RequestPolicy(backorder=backorder),
    )
    runtime: Runtime = state.runtime
    return respond(answer(200, await runtime.allocator.choices(request)), PromisesAnswer)


handlers = [post_promises, get_promises]
