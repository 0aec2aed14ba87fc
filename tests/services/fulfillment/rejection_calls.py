"""What the tests of rejections say often."""

from typing import Any

import httpx

from services.database import Database
from services.fulfillment.sweeps import Resourcing
from services.settings import Settings
from tests.services.caller import Caller
from tests.services.fulfillment.work_calls import done, look, step


async def reject(
    caller: Caller, work: str, reason: str = "other", *lines: tuple[str, int], **how: Any
) -> dict[str, Any]:
    """Reject work, whole or some (line_id, quantity) of it; return the answer."""
    return await done(caller, work, "reject", said(reason, *lines), **how)


async def short_pick(
    caller: Caller, work: str, reason: str = "not_found", *lines: tuple[str, int], **how: Any
) -> dict[str, Any]:
    """Say that units could not be found; return the answer."""
    return await done(caller, work, "short-pick", said(reason, *lines), **how)


def said(reason: str, *lines: tuple[str, int]) -> dict[str, Any]:
    """Return the body of a rejection."""
    named = [{"line_id": line_id, "quantity": quantity} for line_id, quantity in lines]
    return {"reason": reason} | ({"lines": named} if lines else {})


async def refused(caller: Caller, work: str, body: object, **how: Any) -> httpx.Response:
    """Reject work that cannot be; return the refusal."""
    return await step(caller, work, "reject", body, **how)


async def queue(caller: Caller, **filters: str) -> list[dict[str, Any]]:
    """Return the exceptions queue."""
    answer = await caller.get("/v1/exceptions", role="planner", params=filters)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["exceptions"]
    return found


async def decide(
    caller: Caller, exception_id: str, call: str, body: object = None, **how: Any
) -> httpx.Response:
    """Decide an exception as a planner."""
    return await caller.post(
        f"/v1/exceptions/{exception_id}/{call}", body, **{"role": "planner", **how}
    )


async def moved_to(caller: Caller, answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the work that took over what an answer tells of."""
    ids = dict.fromkeys(
        each["fulfillment_order_id"] for each in answer["units"] if each["became"] == "moved"
    )
    return [await look(caller, each) for each in ids]


def fates(answer: dict[str, Any]) -> list[tuple[str, int, str | None]]:
    """Return what became of units: line, quantity and the node they went to."""
    return [(each["line_id"], each["quantity"], each["node_id"]) for each in answer["units"]]


async def sweep(database: Database, settings: Settings) -> int:
    """Do what the background does, until it has nothing more to do."""
    jobs = Resourcing(settings)
    total = 0
    for _ in range(20):
        did = [
            await job(database)
            for job in (jobs.relieve, jobs.follow_rejections, jobs.mind_silence, jobs.retry)
        ]
        total += sum(did)
        if not sum(did):
            return total
    raise RuntimeError("the background never comes to an end")


async def hurry(database: Database) -> None:
    """Let every exception be due for another try."""
    async with database.connect() as connection:
        await connection.execute("UPDATE exception SET retry_at = now() WHERE retry_at > now()")
