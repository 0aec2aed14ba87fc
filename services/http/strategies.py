"""Calls of the planner for how orders are routed: strategies and the rules that choose them."""

from typing import Annotated

import asyncpg
import msgspec
from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import JSONBody, PathParameter
from msgspec import Meta

from services.http.access import allow, guard_idempotency
from services.http.answers import WRITE, Write, raises, respond
from services.http.checkout import Call, claim_of
from services.http.fields import Text
from services.orders.idempotency import Answer, answer, once
from services.planning import strategies
from services.planning.playbook import RULES
from services.planning.strategies import Verdict, Version
from services.planning.strategy_documents import Rule, Rules, Strategy
from services.planning.strategy_records import Kind
from services.runtime import Runtime

READERS = allow("planner", "operator", "checkout")
WRITERS = allow("planner")
VERSION_MAX = 2**31 - 1

PathName = Annotated[str, PathParameter(min_length=1, max_length=50, pattern=r"^[a-z0-9_-]+$")]
PathVersion = Annotated[int, PathParameter(ge=1, le=VERSION_MAX)]


class StrategyDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version of a strategy to be added."""

    strategy: Strategy
    note: Annotated[Text, Meta(description="Why, for whoever reads the history.")] = ""


class RulesDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version of the rules to be added."""

    rules: Annotated[tuple[Rule, ...], Meta(max_length=500, description="The first that matches.")]
    note: Annotated[Text, Meta(description="Why, for whoever reads the history.")] = ""


class Versions(msgspec.Struct, frozen=True):
    """Versions of strategies or of the rules."""

    versions: list[Version]


async def write(
    request: Call, runtime: Runtime, kind: Kind, name: str, step: str, number: int = 0
) -> Response[Version]:
    """Make a version active, or roll back to the one before, once per key."""

    async def work(connection: asyncpg.Connection) -> Answer:
        actor = request.user.actor
        if step == "activate":
            done = await strategies.activate(connection, kind, name, number, actor=actor)
        else:
            done = await strategies.roll_back(connection, kind, name, actor=actor)
        return answer(200, done)

    return respond(await once(runtime.database, claim_of(request, None), work), Version)


async def add(
    request: Call, runtime: Runtime, name: str, body: Strategy | Rules, note: str
) -> Response[Version]:
    """Add a draft, once per key."""

    async def work(connection: asyncpg.Connection) -> Answer:
        return answer(201, await strategies.draft(connection, name, body, note, request.user.actor))

    claim = claim_of(request, (body, note))
    return respond(await once(runtime.database, claim, work), Version)


@get("/v1/strategies", opt=READERS, responses=raises(), tags=["strategies"])
async def list_strategies(state: State) -> Versions:
    """Show what is in force: the rules, then every strategy by name."""
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        return Versions(await strategies.in_force(connection))


@get(
    "/v1/strategies/{name:str}/versions",
    opt=READERS,
    responses=raises("not-found"),
    tags=["strategies"],
)
async def list_versions(name: PathName, state: State) -> Versions:
    """Show the versions of a strategy, newest first."""
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        return Versions(await strategies.history(connection, "strategy", name))


@get("/v1/strategy-rules/versions", opt=READERS, responses=raises(), tags=["strategies"])
async def list_rules(state: State) -> Versions:
    """Show the versions of the rules, newest first."""
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        return Versions(await strategies.history(connection, "rules", RULES))


@post(
    "/v1/strategies/{name:str}/versions",
    opt=WRITERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE),
    tags=["strategies"],
)
async def draft_strategy(
    name: PathName, data: JSONBody[StrategyDraft], request: Call, state: State
) -> Response[Version]:
    """Add a version of a strategy, new or known; nothing follows it before it is made active."""
    return await add(request, state.runtime, name, data.strategy, data.note)


@post(
    "/v1/strategy-rules/versions",
    opt=WRITERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE),
    tags=["strategies"],
)
async def draft_rules(data: JSONBody[RulesDraft], request: Call, state: State) -> Response[Version]:
    """Add a version of the rules; nothing follows it before it is made active."""
    return await add(request, state.runtime, RULES, Rules(rules=data.rules), data.note)


@get(
    "/v1/strategies/{name:str}/versions/{version:int}/faults",
    opt=READERS,
    responses=raises("not-found"),
    tags=["strategies"],
)
async def validate_strategy(name: PathName, version: PathVersion, state: State) -> Verdict:
    """Validate a version: say what keeps it from being made active."""
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        return await strategies.validate(connection, "strategy", name, version)


@get(
    "/v1/strategy-rules/versions/{version:int}/faults",
    opt=READERS,
    responses=raises("not-found"),
    tags=["strategies"],
)
async def validate_rules(version: PathVersion, state: State) -> Verdict:
    """Validate a version of the rules: say what keeps it from being made active."""
    runtime: Runtime = state.runtime
    async with runtime.database.connect() as connection:
        return await strategies.validate(connection, "rules", RULES, version)


@post(
    "/v1/strategies/{name:str}/versions/{version:int}/activate",
    status_code=200,
    opt=WRITERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "not-found", "invalid-strategy"),
    tags=["strategies"],
)
async def activate_strategy(
    name: PathName, version: PathVersion, request: Call, state: State
) -> Response[Version]:
    """Put a version in force in place of the one before; every worker follows within seconds."""
    return await write(request, state.runtime, "strategy", name, "activate", version)


@post(
    "/v1/strategy-rules/versions/{version:int}/activate",
    status_code=200,
    opt=WRITERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "not-found", "invalid-strategy"),
    tags=["strategies"],
)
async def activate_rules(version: PathVersion, request: Call, state: State) -> Response[Version]:
    """Put a version of the rules in force in place of the one before."""
    return await write(request, state.runtime, "rules", RULES, "activate", version)


@post(
    "/v1/strategies/{name:str}/roll-back",
    status_code=200,
    opt=WRITERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "illegal-state"),
    tags=["strategies"],
)
async def roll_back_strategy(name: PathName, request: Call, state: State) -> Response[Version]:
    """Put the version in force again that was so before the present one."""
    return await write(request, state.runtime, "strategy", name, "roll back")


@post(
    "/v1/strategy-rules/roll-back",
    status_code=200,
    opt=WRITERS,
    guards=[guard_idempotency],
    operation_class=Write,
    responses=raises(*WRITE, "illegal-state"),
    tags=["strategies"],
)
async def roll_back_rules(request: Call, state: State) -> Response[Version]:
    """Put the rules in force again that were so before the present ones."""
    return await write(request, state.runtime, "rules", RULES, "roll back")


handlers = [
    list_strategies,
    list_versions,
    list_rules,
    draft_strategy,
    draft_rules,
    validate_strategy,
    validate_rules,
    activate_strategy,
    activate_rules,
    roll_back_strategy,
    roll_back_rules,
]
