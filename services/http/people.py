"""Calls about people: whom an order is for."""

import asyncpg
from litestar import put
from litestar.datastructures import State
from litestar.params import JSONBody

from services.http.access import allow
from services.http.answers import BODY, raises
from services.http.checkout import Call
from services.http.fields import PathId
from services.observe import note
from services.people import contacts
from services.people.contacts import Contact, ContactAnswer
from services.runtime import Runtime


@put(
    "/v1/orders/{order_id:str}/contact",
    opt=allow("checkout", "store"),
    responses=raises(
        *BODY, "not-found", "unknown-destination", "address-elsewhere", "address-fixed"
    ),
    tags=["checkout"],
)
async def put_contact(
    order_id: PathId, data: JSONBody[Contact], request: Call, state: State
) -> ContactAnswer:
    """Say whom an order is for, before it is allocated or after.

    Kept apart from everything else, for dispatch alone, and forgotten some time after the order's
    last work. Name and address can change until a parcel is packed, within the zone that was
    planned for. A store says it of orders that it has made or takes part in.
    """
    runtime: Runtime = state.runtime
    note(request.scope, order_id=order_id)

    async def work(connection: asyncpg.Connection) -> ContactAnswer:
        return await contacts.put_contact(
            connection,
            order_id,
            data,
            principal=request.user,
            network=runtime.network.current,
        )

    return await runtime.database.run(work)


handlers = [put_contact]
