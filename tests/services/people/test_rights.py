"""Keys that may do less: scopes, an end, so many calls a second."""

from datetime import UTC, datetime, timedelta

import pytest

from services import keys
from services.app import HANDLERS
from services.database import Database
from services.keys import Keyring
from services.limits import Bucket
from services.scopes import scope_of
from tests.services.caller import Caller, basket, problem_type


async def test_a_key_with_scopes_may_do_that_and_no_more(
    caller: Caller, database: Database
) -> None:
    """A shop's search needs to see what is available, and must not sell it."""
    caller.keys["search"] = await keys.create(
        database, "checkout", (), None, scopes=["availability:read"]
    )
    params = {"sku": "MUG"}
    seen = await caller.get("/v1/availability", role="search", params=params)
    assert seen.status_code == 200
    quote = {key: value for key, value in basket("x", ("MUG", 1)).items() if key != "order_id"}
    assert (await caller.post("/v1/quotes", quote, role="search")).status_code == 200
    for answer in (
        await caller.post("/v1/allocations", basket("web-1", ("MUG", 1)), role="search"),
        await caller.get("/v1/items", role="search"),
    ):
        assert (answer.status_code, problem_type(answer)) == (403, "forbidden")
        assert "availability:read" in answer.json()["detail"]


async def test_a_scope_gives_nothing_beyond_the_role(caller: Caller, database: Database) -> None:
    """Least of both."""
    caller.keys["odd"] = await keys.create(database, "checkout", (), None, scopes=["network:write"])
    answer = await caller.put("/v1/zones", {"zones": []}, role="odd")
    assert (answer.status_code, problem_type(answer)) == (403, "forbidden")


async def test_a_scope_that_does_not_exist_is_refused(database: Database) -> None:
    """A typing error must not make a key that can do nothing."""
    with pytest.raises(ValueError, match="no scope allocation:write"):
        await keys.create(database, "checkout", (), None, scopes=["allocation:write"])


def test_every_call_that_needs_a_key_has_a_scope() -> None:
    """A call that was forgotten could be made with no limited key at all."""
    for handler in HANDLERS:
        (method,), (path,) = handler.http_methods, handler.paths
        if handler.opt.get("roles"):
            assert scope_of(method, path) is not None, f"{method} {path}"


async def test_a_key_ends_on_its_day(database: Database) -> None:
    """Nobody remembers to revoke what was given for a week."""
    now = datetime.now(UTC)
    keyring = Keyring(database, 60.0)
    week = await keys.create(database, "planner", (), None, expires_at=now + timedelta(days=7))
    over = await keys.create(database, "planner", (), None, expires_at=now - timedelta(seconds=1))
    assert await keyring.find(week) is not None
    assert await keyring.find(over) is None


async def test_a_key_that_calls_too_often_is_told_when_to_come_again(
    caller: Caller,
) -> None:
    """One program that runs wild must not take the service from all others."""
    keyring = caller.runtime.keyring
    keyring.rates = {"planner": (0.001, 2.0), "checkout": (0.001, 1.0)}
    keyring.seen.clear()
    answers = [await caller.get("/v1/zones", role="planner") for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert problem_type(answers[2]) == "too-many-requests"
    assert int(answers[2].headers["Retry-After"]) >= 1
    assert (await caller.get("/v1/zones", role="operator")).status_code == 200
    held = [
        await caller.post("/v1/allocations", basket(f"web-{number}", ("MUG", 1)))
        for number in range(2)
    ]
    assert [each.status_code for each in held] == [201, 429]


def test_a_bucket_fills_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is a rate, not a ration."""
    clock = [100.0]
    monkeypatch.setattr("services.limits.monotonic", lambda: clock[0])
    bucket = Bucket(2.0, 3.0)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    assert bucket.wait_s == 1
    clock[0] += 0.5
    assert [bucket.take() for _ in range(2)] == [True, False]
    clock[0] += 1_000
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
