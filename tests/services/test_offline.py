"""The API's documentation on a machine without the internet."""

import re

from tests.services.caller import Caller

LOADED = re.compile(r"""(?:src|href)=["']([^"']+)["']""")


async def test_the_documentation_loads_nothing_from_elsewhere(caller: Caller) -> None:
    """Shops run behind closed doors; a page that waits for a content network stays blank there."""
    page = await caller.client.get("/docs/")
    assert page.status_code == 200
    loaded = [address for address in LOADED.findall(page.text) if not address.startswith("data:")]
    assert len(loaded) >= 3, "a style sheet and two scripts at least"
    for address in loaded:
        assert address.startswith("/docs/assets/")
        assert (await caller.client.get(address)).status_code == 200


async def test_the_documentation_is_drawn_by_a_swagger_ui_that_knows_openapi_3_1(
    caller: Caller,
) -> None:
    """Older ones show an empty page for the document that the service writes."""
    script = await caller.client.get("/docs/assets/javascripts/swagger-ui-bundle.js")
    found = re.search(r'PACKAGE_VERSION:"(\d+)\.', script.text)
    assert found is not None
    assert int(found.group(1)) >= 5
    document = await caller.client.get("/docs/openapi.json")
    assert document.json()["openapi"].startswith("3.1")
