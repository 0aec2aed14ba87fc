"""Calls of staff who sign in and out."""

from typing import Annotated, Any

import msgspec
from litestar import Request, delete, post
from litestar.datastructures import State
from litestar.params import JSONBody
from msgspec import Meta

from services.http.access import allow
from services.http.answers import BODY, raises
from services.keys import Principal
from services.people.staff import NAME_LENGTH_MAX, PASSWORD_LENGTH_MAX, Session
from services.problems import Refused
from services.runtime import Runtime

OPEN = {"exclude_from_auth": True}


class SignIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who somebody says they are, and what only they know."""

    name: Annotated[
        str, Meta(min_length=1, max_length=NAME_LENGTH_MAX, pattern=r"^[^\x00-\x1f\x7f]+$")
    ]
    password: Annotated[str, Meta(min_length=1, max_length=PASSWORD_LENGTH_MAX)]


@post(
    "/v1/sessions",
    opt=OPEN,
    responses=raises(*BODY, "sign-in-failed", "too-many-requests"),
    tags=["staff"],
)
async def sign_in(data: JSONBody[SignIn], request: Request[Any, Any, Any], state: State) -> Session:
    """Sign in with a name and a password.

    The token is sent like a key, `Authorization: Bearer TOKEN`, until it expires or is ended. It
    has the role that `nom staff add` gave, and what it does is told under the name. A wrong name is
    answered like a wrong password. After too many attempts for a name, or from an address, nobody
    gets in by it until the time in `Retry-After` is over.
    """
    runtime: Runtime = state.runtime
    address = "" if request.client is None else request.client.host
    return await runtime.reception.sign_in(data.name, data.password, address)


@delete(
    "/v1/sessions/current",
    opt=allow("store", "planner", "operator"),
    responses=raises("not-found"),
    tags=["staff"],
)
async def sign_out(request: Request[Principal, str, Any], state: State) -> None:
    """End the session this call is made in; a key has none."""
    runtime: Runtime = state.runtime
    ended = await runtime.reception.sign_out(request.auth)
    runtime.keyring.forget_now(request.auth)
    if not ended:
        raise Refused("not-found", "This call is made with a key, which `nom keys revoke` ends.")


handlers = [sign_in, sign_out]
