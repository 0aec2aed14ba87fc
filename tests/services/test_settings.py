"""Settings say which variable is wrong, and what would be right."""

import pytest

from services.settings import Settings, SettingsError


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("NOM_DEADLINE_MS", "soon", "Expected `int`"),
        ("NOM_DECISION_RECORDS", "perhaps", "Expected `bool`"),
        ("NOM_PORT", "70000", "from 0 to 65535"),
        ("NOM_WEBHOOK_ALLOW", "everywhere", "networks like 10.1.0.0/16"),
    ],
)
def test_a_value_that_cannot_be_used_is_told_with_its_variable(
    name: str, value: str, advice: str
) -> None:
    """Among a hundred variables nobody finds a field that only the code knows by that name."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({name: value})
    for part in (name, value, advice):
        assert part in str(caught.value)
