"""Addresses that are a little wrong are answered with what would be right."""

import pytest

from tests.services.caller import Caller, problem_type


async def test_a_filter_that_is_misspelled_is_refused(caller: Caller) -> None:
    """Without it the answer would be everything, and look like what was asked for."""
    answer = await caller.get("/v1/exceptions?nodeid=ST-EAST&kind=short", role="operator")
    assert (answer.status_code, problem_type(answer)) == (400, "invalid-parameter")
    assert answer.json()["field"] == "nodeid"
    assert answer.json()["detail"] == (
        "There is no parameter 'nodeid'; this call takes cursor, kind, limit, node_id, order_id, "
        "state."
    )


async def test_a_call_without_parameters_takes_none(caller: Caller) -> None:
    """Also where nobody would expect any."""
    answer = await caller.get("/v1/rejection-reasons?all", role="operator")
    assert answer.json()["detail"] == "There is no parameter 'all'; this call takes none."


@pytest.mark.parametrize("address", ["/health/live?x=1", "/docs/?x=1"])
async def test_pages_for_everybody_take_whatever_they_get(caller: Caller, address: str) -> None:
    """Probes and browsers add things of their own."""
    assert (await caller.get(address)).status_code == 200


async def test_a_parameter_is_told_by_the_name_it_was_given(caller: Caller) -> None:
    """What the function calls it is nobody else's business."""
    answer = await caller.get("/v1/exceptions?state=weird", role="operator")
    assert answer.json()["field"] == "state"
    assert answer.json()["detail"].startswith("state: ")


async def test_a_body_of_another_kind_is_called_the_body(caller: Caller) -> None:
    """There is no field `data`."""
    answer = await caller.post("/v1/allocations", [])
    assert answer.json()["detail"] == "The body: Expected `object`, got `array`."


async def test_another_method_is_told_with_those_there_are(caller: Caller) -> None:
    """The standard asks for the header, and a person reads the sentence."""
    answer = await caller.get("/v1/allocations")
    assert (answer.status_code, problem_type(answer)) == (405, "method-not-allowed")
    assert "POST" in answer.headers["allow"]
    assert answer.json()["detail"] == f"This address takes {answer.headers['allow']}."


async def test_an_address_of_nothing_says_where_the_calls_are(caller: Caller) -> None:
    """An id that is none is an address of nothing, too."""
    answer = await caller.get("/v1/allocations/abc")
    assert (answer.status_code, problem_type(answer)) == (404, "not-found")
    assert "/docs/" in answer.json()["detail"]
