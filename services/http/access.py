"""Who may make a call: bearer keys, and the roles each handler names in its `roles` option."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import HTTPRouteHandler
from litestar.handlers.base import BaseRouteHandler
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult

from services.keys import Principal, Role
from services.limits import Bucket
from services.observe import note
from services.problems import Refused
from services.scopes import scope_of

IDEMPOTENCY_KEY = "Idempotency-Key"
IDEMPOTENCY_KEY_LENGTH_MAX = 200
EVERYONE: tuple[Role, ...] = ("checkout", "store", "partner", "planner", "operator")


class Caller(msgspec.Struct, frozen=True):
    """Who sends a request, and what is known of it beside its body."""

    principal: Principal
    idempotency_key: str
    """Empty where the call needs none."""
    request_id: bytes
    facts: dict[str, Any]
    """What its log line tells of it."""


class KeyMiddleware(AbstractAuthenticationMiddleware):
    """Finds the principal of the `Authorization: Bearer KEY` header."""

    async def authenticate_request(
        self, connection: ASGIConnection[Any, Any, Any, Any]
    ) -> AuthenticationResult:
        """Return the key's principal, or raise `unauthenticated`."""
        scheme, _, secret = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret:
            raise Refused("unauthenticated", "Send the header `Authorization: Bearer KEY`.")
        principal = await connection.app.state.runtime.keyring.find(secret.strip())
        if principal is None:
            raise Refused("unauthenticated", "The key is unknown or revoked; ask for a new one.")
        note(connection.scope, key_id=principal.key_id, role=principal.role)
        if principal.bucket is not None and not principal.bucket.take():
            raise too_often(principal.bucket)
        return AuthenticationResult(user=principal, auth=secret.strip())


def allow(*roles: Role) -> dict[str, Any]:
    """Return the handler option that names the roles which may call it."""
    return {"roles": roles}


def a_key(role: Role) -> str:
    """Return how a sentence begins that is about a key of a role."""
    return f"{'An' if role == 'operator' else 'A'} {role} key"


async def guard_role(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """Raise `forbidden` unless the handler names the caller's role.

    Guards are async only because the framework would run a plain function in a thread.
    """
    # Only where keys are not checked, health and the API document, is there no user.
    principal: Principal | None = connection.scope.get("user")
    if principal is None:
        return
    roles: Sequence[Role] = handler.opt.get("roles", ())
    if principal.role not in roles:
        raise Refused(
            "forbidden",
            f"{a_key(principal.role)} may not make this call; it is for {', '.join(roles)}.",
        )
    if not has_scope(principal, handler.opt):
        raise Refused(
            "forbidden",
            f"The key is limited to {', '.join(sorted(principal.scopes or ()))}; this call needs "
            f"{handler.opt.get('scope')}.",
        )


def has_scope(principal: Principal, opt: Mapping[str, Any]) -> bool:
    """Tell whether a key's scopes, if it is limited to some, let it make a handler's call."""
    return principal.scopes is None or opt.get("scope") in principal.scopes


def may_call(principal: Principal, opt: Mapping[str, Any]) -> bool:
    """Tell whether somebody may make a handler's call, and has not made too many."""
    return is_for(principal, opt) and (principal.bucket is None or principal.bucket.take())


def is_for(principal: Principal, opt: Mapping[str, Any]) -> bool:
    """Tell whether a handler's call is one that somebody may make."""
    return principal.role in opt["roles"] and has_scope(principal, opt)


def too_often(bucket: Bucket) -> Refused:
    """Return the refusal of a key that has made all the calls it may make for now."""
    refused = Refused(
        "too-many-requests",
        f"This key may make {bucket.per_s:g} calls a second, {bucket.burst:g} at once. Send the "
        "same request again after the time in Retry-After.",
    )
    refused.retry_after_s = bucket.wait_s
    return refused


def name_scopes(handlers: Sequence[BaseRouteHandler]) -> None:
    """Write the scope that each handler needs into its options, from the table of scopes."""
    for handler in handlers:
        if isinstance(handler, HTTPRouteHandler):
            (method,), (path,) = handler.http_methods, handler.paths
            handler.opt["scope"] = scope_of(method, path)


async def guard_idempotency(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """Raise `idempotency-key-missing` when a write comes without its key, or with too long a one."""
    key = connection.headers.get(IDEMPOTENCY_KEY, "")
    if not 0 < len(key) <= IDEMPOTENCY_KEY_LENGTH_MAX:
        raise Refused(
            "idempotency-key-missing",
            f"Send an {IDEMPOTENCY_KEY} header of 1 to {IDEMPOTENCY_KEY_LENGTH_MAX} characters, "
            "new for each request and the same when you repeat it.",
        )


def restrict_to_nodes(principal: Principal, node_id: str) -> None:
    """Raise `not-found` when a store's or partner's key acts for a node that is not its own.

    The answer is the same as for a node that does not exist, so that nobody can probe for ids.
    """
    if principal.is_bound and node_id not in principal.node_ids:
        raise Refused("not-found", f"There is no node {node_id} that this key may act for.")
