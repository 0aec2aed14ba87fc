"""The catalogue names every kind of event with its fields; other tests check what they write.

Every test with a database ends by holding the events it has caused against the catalogue, so a kind
or a field that is missing there fails whichever test causes it (`tests/conftest.py`).
"""

from typing import Any

import msgspec
import pytest

from services.events.catalogue import KINDS, in_words, verify
from services.partners.kinds import FOR_PARTNERS
from services.people import timeline
from tests.services.events.catalogue_table import ROW, examples, shown


def test_the_readme_shows_every_kind_with_a_real_example() -> None:
    """It is what callers write their programs from."""
    found = examples()
    assert found.keys() == KINDS.keys()
    for kind, payload in found.items():
        verify(kind, payload)
    assert {kind: words for kind, words, _ in ROW.findall(shown())} == {
        kind: in_words(kind, payload) for kind, payload in found.items()
    }


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("allocation.vanished", {"allocation_id": "1"}),
        ("allocation.held", {"allocation_id": "1"}),
        ("allocation.held", {"allocation_id": "1", "complete": "yes"}),
        ("allocation.held", {"allocation_id": "1", "complete": True, "name": "Ada"}),
    ],
)
def test_what_is_not_in_the_catalogue_is_found(kind: str, payload: dict[str, Any]) -> None:
    """Or personal data could slip into a payload that nobody looks at."""
    with pytest.raises(ValueError, match=r"catalogue|Object|Expected"):
        verify(kind, payload)


def test_every_kind_says_something_with_fields_it_has() -> None:
    """A sentence with a hole tells the customer nothing."""
    for kind, payload in examples().items():
        said = in_words(kind, payload)
        assert said.endswith("."), kind
        assert "…" not in said, kind
        fields = {each.encode_name for each in msgspec.structs.fields(KINDS[kind].payload)}
        assert payload.keys() <= fields, kind


def test_whoever_names_kinds_names_ones_that_exist() -> None:
    """A filter for a kind that was renamed is silent for ever."""
    families = {kind.partition(".")[0] for kind in KINDS}
    assert FOR_PARTNERS - KINDS.keys() == set()
    assert set(timeline.FAMILIES) - families == set()
