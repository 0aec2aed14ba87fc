"""What is kept of a customer can be given out and forgotten, and is kept nowhere else."""

import asyncio
import json

import pytest

from services.database import Database
from services.people import customers, staff
from services.people.contacts import read_contact
from tests.services.caller import Caller, basket
from tests.services.people.test_contacts import allocated, contact, put
from tests.services.people.test_staff import PASSWORD, run, sign_in

PERSONAL = ("Ada", "Sample Street", "555 0100", "ada@example.com", "Floor 3")


async def kept(database: Database, order_id: str) -> bool:
    """Tell whether it is still known whom an order is for."""
    async with database.connect() as connection:
        return await read_contact(connection, order_id) is not None


async def end_work(caller: Caller, allocation_id: str) -> None:
    """Cancel an order, so that nothing is left to do for it."""
    ended = await caller.post(f"/v1/allocations/{allocation_id}/cancel")
    assert ended.status_code == 200, ended.text


async def test_a_customer_gets_what_is_kept_of_them(caller: Caller, database_url: str) -> None:
    """Everything, in a form that a program can read."""
    await put(caller, "web-1", contact(email="ada@example.com"))
    await allocated(caller, "web-1")
    code, said = await asyncio.to_thread(run, database_url, "customers", "export", "c-1")
    assert code == 0
    (order,) = json.loads(said)
    assert order["order_id"] == "web-1"
    assert order["contact"]["name"] == "Ada Example"
    assert order["allocations"][0]["status"] == "confirmed"
    assert order["timeline"][0]["kind"] == "order.contact_changed"


async def test_a_customer_is_forgotten_where_no_work_is_left(
    caller: Caller, database: Database, database_url: str
) -> None:
    """A parcel that is under way needs its address until it is packed."""
    await put(caller, "web-1", contact())
    done = await allocated(caller, "web-1")
    await end_work(caller, done)
    await put(caller, "web-2", contact())
    under_way = await allocated(caller, "web-2")
    code, said = await asyncio.to_thread(run, database_url, "customers", "purge", "c-1")
    assert code == 0
    assert "1 orders" in said
    assert "web-2" in said
    assert (await kept(database, "web-1"), await kept(database, "web-2")) == (False, True)
    await end_work(caller, under_way)
    assert await customers.forget_contacts(90, database) == 1
    assert not await kept(database, "web-2")
    told = (await caller.get("/v1/orders/web-1/timeline")).json()["entries"]
    assert told[-1]["payload"] == {"reason": "asked"}
    assert (await caller.get("/v1/customers/c-1/timeline")).status_code == 404


async def test_a_contact_is_forgotten_when_its_time_is_over(
    caller: Caller, database: Database
) -> None:
    """Counted from the last thing that happened to its order."""
    await put(caller, "web-1", contact())
    done = await allocated(caller, "web-1")
    await put(caller, "web-2", contact())
    await allocated(caller, "web-2")
    await end_work(caller, done)
    assert await customers.forget_contacts(90, database) == 0
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE order_contact SET changed_at = changed_at - interval '91 days'"
        )
        await connection.execute(
            "UPDATE allocation SET created_at = created_at - interval '91 days',"
            " confirmed_at = confirmed_at - interval '91 days',"
            " ended_at = ended_at - interval '91 days'"
        )
        await connection.execute(
            "UPDATE fulfillment_order SET changed_at = changed_at - interval '91 days'"
        )
    assert await customers.forget_contacts(90, database) == 1
    assert (await kept(database, "web-1"), await kept(database, "web-2")) == (False, True)


async def test_nothing_personal_and_no_secret_is_told_to_logs_and_events(
    caller: Caller, database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    """Logs go to many places, and events to partners; neither can be called back."""
    await staff.add(database, "ann", "store", ("ST-EAST",), PASSWORD)
    await sign_in(caller)
    await sign_in(caller, password="wrong " + PASSWORD)
    await put(caller, "web-1", contact(email="ada@example.com"))
    await put(caller, "web-1", contact(email="ada@example.com", phone=""))
    await put(caller, "web-1", contact(nick="Ada"))
    await put(caller, "web-1", contact(name="Ada" * 500))
    held = await caller.post("/v1/allocations", basket("web-1", ("MUG", 1)))
    await caller.post(f"/v1/allocations/{held.json()['allocation_id']}/confirm")
    await put(caller, "web-1", contact(postal_code="90001", city="Los Angeles"))
    await caller.get("/v1/nodes", role="ann")
    caller.keys["stolen"] = "nom_planner_made-up-secret"
    await caller.get("/v1/nodes", role="stolen")
    async with database.connect() as connection:
        events = await connection.fetch("SELECT * FROM event")
        stored = await connection.fetch("SELECT convert_from(body, 'UTF8') FROM idempotency")
        sessions = await connection.fetch("SELECT * FROM staff_session")
    logs = capfd.readouterr()
    assert '"path":"/v1/orders/{order_id}/contact"' in logs.out
    for word in (*PERSONAL, PASSWORD, *caller.keys.values()):
        assert word not in logs.out + logs.err
        assert word not in str(events) + str(stored) + str(sessions)
