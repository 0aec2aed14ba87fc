"""Why an order went where it went: over HTTP and on the command line, in words people use."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from services.cli import main
from services.database import Database
from services.settings import Settings
from tests.services.caller import Caller, basket
from tests.services.fulfillment.work_calls import confirmed


async def explained(caller: Caller, allocation_id: str, **asked: str) -> dict[str, Any]:
    """Return the explanation of an allocation."""
    answer = await caller.get(f"/v1/allocations/{allocation_id}/decision", params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def run(*arguments: str) -> Result:
    """Run a command; it has an event loop of its own, which wants a thread of its own."""
    return await asyncio.to_thread(CliRunner().invoke, main, arguments)


async def name_places(caller: Caller) -> None:
    """Give two nodes names that people use."""
    for node_id, name in (("WH-EAST", "Newark"), ("ST-EAST", "Fifth Avenue")):
        node = (await caller.get(f"/v1/nodes/{node_id}", role="planner")).json()
        known = {key: value for key, value in node.items() if key != "version"}
        put = await caller.put(f"/v1/nodes/{node_id}", known | {"name": name})
        assert put.status_code == 200, put.text
    await caller.catch_up()


async def test_an_explanation_has_names_amounts_and_what_would_have_changed_it(
    caller: Caller,
) -> None:
    """A store manager knows the next street and the price, not ids and minor units."""
    await name_places(caller)
    held = await confirmed(caller, basket("o-1", ("MUG", 2)))

    told = await explained(caller, held["allocation_id"], node="ST-EAST")

    said = told["sentences"]
    assert said[0].startswith("Newark ships 2 Mug by ground, leaving on ")
    assert said[0].endswith(", for 6.20 USD.")
    assert "Fifth Avenue would have been chosen at 1.01 USD less handling for an order." in said
    assert told["why_not"].startswith("Fifth Avenue ")
    (rival,) = told["what_if"]
    assert (rival["node_id"], rival["proven"]) == ("ST-EAST", True)
    assert [(each["what"], each["less_minor"]) for each in rival["found"]] == [
        ("handling", 101),
        ("parcels", 101),
    ]


async def test_a_node_that_had_nothing_is_told_what_it_lacked(caller: Caller) -> None:
    """The manager of a store without lamps asks why lamps never come from there."""
    await name_places(caller)
    await caller.put(
        "/v1/tariffs",
        {
            "tariffs": [
                {"tariff_id": "near", "brackets": [{"weight_grams_max": 5_000, "price_minor": 500}]}
            ]
        },
    )
    held = await confirmed(caller, basket("o-1", ("LAMP", 11)))

    told = await explained(caller, held["allocation_id"], node="ST-EAST")

    assert told["why_not"] == "Fifth Avenue holds none of the order's items."
    lacked = next(each for each in told["what_if"] if each["node_id"] == "ST-EAST")
    assert [(each["what"], each["units"]) for each in lacked["found"]] == [("stock", [["LAMP", 1]])]
    assert any(
        "Fifth Avenue would have been chosen with 1 Lamp more" in s for s in told["sentences"]
    )


async def test_the_command_line_explains_and_replays(
    caller: Caller, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At night, on the machine of the database, without a key."""
    monkeypatch.setenv("DATABASE_URL", str(settings.database_url))
    monkeypatch.setenv("NOM_CURRENCY", "EUR")
    held = await confirmed(caller, basket("o-1", ("MUG", 1)))

    said = await run("explain", held["allocation_id"], "--node", "ST-WEST")
    again = await run("replay", held["allocation_id"])
    nobody = await run("explain", str(uuid4()))

    assert said.exit_code == 0, said.output
    assert "6.10 EUR" in said.output
    assert said.output.splitlines()[-1].startswith("ST-WEST ")
    assert (again.exit_code, again.output.split(":")[0]) == (0, "The same plan")
    assert nobody.exit_code == 1
    assert "There is no allocation" in nobody.output


@pytest.mark.parametrize(
    ("age", "why"),
    [
        ("1 hour", "while no decision records were written (NOM_DECISION_RECORDS)"),
        ("2 years", "decision records are kept for 13 months, so there is none of it any more"),
    ],
)
async def test_why_nothing_is_recorded_of_a_decision_is_said(
    caller: Caller,
    database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    age: str,
    why: str,
) -> None:
    """A record that is too old, or was never written, is no error; replaying it is."""
    monkeypatch.setenv("DATABASE_URL", str(settings.database_url))
    held = await confirmed(caller, basket("o-1", ("MUG", 1)))
    async with database.transaction() as connection:
        await connection.execute("DELETE FROM decision")
        await connection.execute(
            "UPDATE allocation SET created_at = created_at - $1::text::interval", age
        )

    said = await run("explain", held["allocation_id"])
    again = await run("replay", held["allocation_id"])

    assert (said.exit_code, again.exit_code) == (0, 1)
    for each in (said, again):
        assert why in each.output
