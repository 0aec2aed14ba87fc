"""People sign in with a password, act in their own name, and are let go within seconds."""

import asyncio
from typing import Any

import httpx
import msgspec
import pytest
from click.testing import CliRunner

from services.cli import main
from services.database import Database
from services.people import records, staff
from services.people.staff import NOBODY, Reception, hasher
from services.settings import Settings
from tests.services.caller import Caller, basket, problem_type

PASSWORD = "a long walk home"


@pytest.fixture
async def ann(caller: Caller, database: Database) -> Caller:
    """Return the caller, with Ann of ST-EAST among the staff."""
    await staff.add(database, "ann", "store", ("ST-EAST",), PASSWORD)
    return caller


async def sign_in(caller: Caller, name: str = "ann", password: str = PASSWORD) -> httpx.Response:
    """Try to sign in; afterwards `caller` can act as that person."""
    answer = await caller.client.post("/v1/sessions", json={"name": name, "password": password})
    if answer.status_code == 201:
        caller.keys[name] = answer.json()["token"]
    return answer


async def test_staff_acts_in_its_own_name_at_its_own_nodes(ann: Caller) -> None:
    """A key shared by a whole store tells nobody who gave the goods away."""
    answer = await sign_in(ann)
    said: dict[str, Any] = answer.json()
    assert (said["name"], said["role"], said["node_ids"]) == ("ann", "store", ["ST-EAST"])
    units = {"sku": "MUG", "quantity": 1}
    held = await ann.post("/v1/reservations", {"node_id": "ST-EAST", **units}, role="ann")
    assert held.status_code == 201
    elsewhere = await ann.post("/v1/reservations", {"node_id": "ST-WEST", **units}, role="ann")
    assert elsewhere.status_code == 404
    story = await ann.post("/v1/allocations", basket("till-1", ("MUG", 1)), role="ann")
    assert story.status_code == 201
    told = await ann.get("/v1/orders/till-1/timeline", role="ann")
    assert {each["actor"] for each in told.json()["entries"]} == {"staff:ann"}


async def test_a_wrong_name_is_answered_like_a_wrong_password(ann: Caller) -> None:
    """Or names could be collected first, and passwords tried on those only."""
    wrong = await sign_in(ann, password="not my password")
    nobody = await sign_in(ann, name="nobody")
    assert (wrong.status_code, problem_type(wrong)) == (401, "sign-in-failed")
    assert (nobody.status_code, nobody.text) == (wrong.status_code, wrong.text)
    odd = await sign_in(ann, name="an\0n")
    assert (odd.status_code, problem_type(odd)) == (422, "invalid-field")
    assert not hasher.check_needs_rehash(NOBODY), "it must take as long as a real one"
    assert not staff.is_password(NOBODY, PASSWORD)


async def test_after_too_many_attempts_nobody_gets_in_for_a_while(
    ann: Caller, database: Database
) -> None:
    """Also not with the right password, and for a name that does not exist just the same."""
    reception = ann.runtime.reception
    reception.settings = msgspec.structs.replace(reception.settings, sign_in_name_max=2)
    for name in ("ann", "nobody"):
        for _ in range(2):
            assert (await sign_in(ann, name=name, password="wrong wrong")).status_code == 401
    answers = [await sign_in(ann), await sign_in(ann, name="nobody")]
    assert [each.status_code for each in answers] == [429, 429]
    assert answers[0].text == answers[1].text
    assert 0 < int(answers[0].headers["Retry-After"]) <= 901
    # It ends by itself.
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE sign_in_attempt SET attempted_at = attempted_at - interval '16 minutes'"
        )
    assert (await sign_in(ann)).status_code == 201
    assert await staff.forget_attempts(900, database) == 2


async def test_attempts_at_once_are_no_way_round_the_limit(
    ann: Caller, settings: Settings, database: Database
) -> None:
    """Each is counted before its password is looked at."""
    few = msgspec.structs.replace(settings, sign_in_name_max=3)
    reception = Reception(database, few)
    results = await asyncio.gather(
        *(reception.sign_in("ann", "wrong wrong", "here") for _ in range(8)),
        return_exceptions=True,
    )
    kinds = sorted(getattr(each, "kind", "") for each in results)
    assert kinds == ["sign-in-failed"] * 3 + ["too-many-requests"] * 5


async def test_an_address_has_its_limit_too(ann: Caller) -> None:
    """One password tried on every name in turn."""
    reception = ann.runtime.reception
    reception.settings = msgspec.structs.replace(reception.settings, sign_in_address_max=2)
    for name in ("one", "two"):
        assert (await sign_in(ann, name=name)).status_code == 401
    assert (await sign_in(ann, name="three")).status_code == 429


async def test_signing_out_ends_the_session_at_once(ann: Caller) -> None:
    """The next customer stands at the same till."""
    await sign_in(ann)
    assert (await ann.get("/v1/nodes", role="ann")).status_code == 200
    headers = ann.headers("ann")
    ended = await ann.client.delete("/v1/sessions/current", headers=headers)
    assert ended.status_code == 204
    assert (await ann.get("/v1/nodes", role="ann")).status_code == 401
    key = await ann.client.delete("/v1/sessions/current", headers=ann.headers("store"))
    assert key.status_code == 404


async def test_who_is_disabled_is_out_with_every_session(ann: Caller, database: Database) -> None:
    """Within the time for which a worker trusts what it has looked up."""
    await sign_in(ann)
    assert (await ann.get("/v1/nodes", role="ann")).status_code == 200
    assert await staff.disable(database, "ann")
    assert not await staff.disable(database, "ann")
    ann.runtime.keyring.seen.clear()
    assert (await ann.get("/v1/nodes", role="ann")).status_code == 401
    assert (await sign_in(ann)).status_code == 401


async def test_a_session_ends_by_itself(ann: Caller, database: Database) -> None:
    """Nobody signs out."""
    await sign_in(ann)
    async with database.transaction() as connection:
        await connection.execute("UPDATE staff_session SET expires_at = now()")
    assert (await ann.get("/v1/nodes", role="ann")).status_code == 401
    assert await staff.forget_attempts(900, database) == 1


async def test_a_password_is_hashed_anew_when_parameters_have_grown(
    ann: Caller, database: Database
) -> None:
    """What was enough some years ago is weak today, and only its owner can renew it."""
    weak = msgspec.structs.replace(
        await find(database), password_hash=type(hasher)(1, 8, 1).hash(PASSWORD)
    )
    async with database.transaction() as connection:
        await records.set_password(connection, "ann", weak.password_hash)
    assert (await sign_in(ann)).status_code == 201
    kept = await find(database)
    assert not hasher.check_needs_rehash(kept.password_hash)
    assert (await sign_in(ann)).status_code == 201


async def find(database: Database) -> records.StaffRow:
    """Return Ann's row."""
    async with database.connect() as connection:
        found = await records.find_staff(connection, "ann")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "role", "nodes", "password"),
    [
        ("", "planner", (), PASSWORD),
        ("a\nb", "planner", (), PASSWORD),
        ("ann", "checkout", (), PASSWORD),
        ("ann", "store", (), PASSWORD),
        ("ann", "planner", ("ST-EAST",), PASSWORD),
        ("ann", "planner", (), "short"),
        ("ann", "planner", (), "x" * 201),
    ],
)
async def test_staff_that_does_not_fit_is_refused(
    database: Database, name: str, role: Any, nodes: tuple[str, ...], password: str
) -> None:
    """Somebody without a node at a store could do nothing, and with one elsewhere too much."""
    with pytest.raises(ValueError, match=r"name|role|node|password"):
        await staff.add(database, name, role, nodes, password)


def run(database_url: str, *arguments: str, typed: str | None = None) -> tuple[int, str]:
    """Run a command on a database; return its exit code and what it said."""
    result = CliRunner().invoke(main, arguments, input=typed, env={"DATABASE_URL": database_url})
    return result.exit_code, result.output


async def test_commands_let_staff_in_and_out(database_url: str) -> None:
    """As an operator does it, with the password on standard input."""

    def commands() -> list[tuple[int, str]]:
        add = ("staff", "add", "bob", "--role", "store", "--node", "ST-EAST")
        return [
            run(database_url, *add, typed=f"{PASSWORD}\n"),
            run(database_url, *add, typed=f"{PASSWORD}\n"),
            run(database_url, "staff", "password", "bob", typed="another long one\n"),
            run(database_url, "staff", "list"),
            run(database_url, "staff", "disable", "bob"),
            run(database_url, "staff", "disable", "bob"),
            run(database_url, "staff", "list"),
        ]

    said = await asyncio.to_thread(commands)
    assert [code for code, _ in said] == [0, 2, 0, 0, 0, 1, 0]
    assert "already" in said[1][1]
    assert "bob  store" in said[3][1]
    assert "disabled" in said[6][1]
    assert PASSWORD not in str(said)
