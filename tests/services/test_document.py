"""The API document says what holds, because callers generate their clients from it."""

from typing import Any

import msgspec
import pytest

from services.app import HANDLERS
from services.http.docs import write_document


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """Return the OpenAPI document; no database is needed to write it."""
    document: dict[str, Any] = msgspec.json.decode(write_document(tuple(HANDLERS)))
    return document


def test_limits_of_optional_and_nested_fields_are_in_the_document(
    document: dict[str, Any],
) -> None:
    """A client that keeps to the document must not be refused by the decoder."""
    schemas = document["components"]["schemas"]
    planned = schemas["NodeBody"]["properties"]["capacity_planned"]["anyOf"][0]
    assert (planned["minimum"], planned["maximum"]) == (0, 1_000_000_000)
    assert schemas["NodeBody"]["properties"]["capabilities"]["items"]["maxLength"] == 100
    assert schemas["NodeBody"]["additionalProperties"] is False
    skus = next(
        each
        for each in document["paths"]["/v1/availability"]["get"]["parameters"]
        if each["name"] == "sku"
    )
    assert skus["schema"]["items"]["maxLength"] == 100


def test_a_time_of_day_is_described_as_one(document: dict[str, Any]) -> None:
    """A node's cut-off is local, without an offset."""
    cut_off = document["components"]["schemas"]["NodeBody"]["properties"]["cut_off"]
    assert cut_off["format"] == "partial-time"


def test_every_call_has_a_summary_its_refusals_and_a_known_reference(
    document: dict[str, Any],
) -> None:
    """A title like `Put_node` or a dangling reference helps nobody."""
    text = msgspec.json.encode(document).decode()
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in document["components"]["schemas"]
    for path, item in document["paths"].items():
        for method, call in item.items():
            assert len(call["summary"].split()) > 2, f"{method} {path}: {call['summary']}"
            if path.startswith("/v1"):
                assert {"401", "403"} <= call["responses"].keys(), f"{method} {path}"
