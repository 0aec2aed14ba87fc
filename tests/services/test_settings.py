"""Settings say which variable is wrong, what it was given, and what would be right."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from services import ranges
from services.settings import Settings, SettingsError, unknown, variable

FIELDS = {field.name: field.type for field in msgspec.structs.fields(Settings)}
NUMBERS = [name for name, kind in FIELDS.items() if kind in {int, float}]


def complaint(environ: dict[str, str]) -> str:
    """Return what is said of settings that cannot be used."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(environ)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("NOM_DEADLINE_MS", "soon", "a whole number from 1 to 86400000"),
        ("NOM_DEADLINE_MS", "-1", "a whole number from 1 to 86400000"),
        ("NOM_DEADLINE_MS", "0", "a whole number from 1 to 86400000"),
        ("NOM_DEADLINE_MS", "1.5", "a whole number from 1 to 86400000"),
        ("NOM_DEADLINE_MS", "", "a whole number from 1 to 86400000"),
        ("NOM_FEED_STALE_H", "-1", "a whole number from 0 to 8784"),
        ("NOM_EVENT_STREAM_S", "nan", "a number from 0.1 to 86400"),
        ("NOM_STORE_REQUESTS_PER_S", "inf", "a number from 0 to 1000000"),
        ("NOM_KEY_CACHE_S", "6", "a number from 0 to 5"),
        ("NOM_DECISION_RECORDS", "perhaps", "true or false"),
        ("NOM_PORT", "70000", "a whole number from 0 to 65535"),
        ("NOM_LOG_LEVEL", "loud", "debug, info, warning or error"),
        ("NOM_CURRENCY", "euro", "an ISO 4217 code like EUR"),
        ("NOM_HOST", " ", "an address like 127.0.0.1"),
        ("NOM_HOME", "", "the path of a folder"),
        ("NOM_WEBHOOK_ALLOW", "everywhere", "networks like 10.1.0.0/16"),
    ],
)
def test_a_value_that_cannot_be_used_is_told_with_its_variable(
    name: str, value: str, advice: str
) -> None:
    """Among a hundred variables nobody finds a field that only the code knows by that name."""
    assert complaint({name: value}) == f"{name} is {value!r}; give {advice}" + (
        ", with commas between them." if name == "NOM_WEBHOOK_ALLOW" else "."
    )


@pytest.mark.parametrize("field", NUMBERS)
def test_every_number_has_a_least_and_a_most(field: str) -> None:
    """A number without a range is found out when the service runs, by its callers."""
    low, high = ranges.bounds(field)
    default = getattr(Settings(), field)
    assert low <= default <= high
    for wrong in (low - 1, high + 1):
        assert variable(field) in complaint({variable(field): str(wrong)})


def test_all_that_is_wrong_is_told_at_once() -> None:
    """Who mends one variable a start needs as many starts as there are mistakes."""
    said = complaint({"NOM_DEADLINE_MS": "-1", "NOM_LOG_LEVEL": "loud", "NOM_LANES": "2"})
    assert said.splitlines() == [
        "NOM_LOG_LEVEL is 'loud'; give debug, info, warning or error.",
        "NOM_DEADLINE_MS is '-1'; give a whole number from 1 to 86400000.",
    ]


def test_settings_that_contradict_each_other_are_told_with_both() -> None:
    """The default of one is wrong only beside what another was given."""
    assert complaint({"NOM_HOLD_MAX_S": "60"}) == (
        "NOM_HOLD_DEFAULT_S is 900; give at most what NOM_HOLD_MAX_S is, 60."
    )


def test_a_setting_that_is_wrong_by_itself_contradicts_no_other() -> None:
    """Its default stands in for it then, which nobody has asked for."""
    assert complaint({"NOM_DECISION_MS": "never", "NOM_DECISION_MIN_MS": "60"}) == (
        "NOM_DECISION_MS is 'never'; give a whole number from 1 to 86400000."
    )


def test_the_address_of_a_database_is_not_repeated() -> None:
    """There may be a password in it, and what ends a command is often logged."""
    said = complaint({"DATABASE_URL": "mysql://nom:secret@host/nom"})
    assert said.startswith("DATABASE_URL cannot be used; give a URL like postgresql://")
    assert "secret" not in said


def test_values_may_be_written_as_people_write_them() -> None:
    """A level in capitals and a lifted limit are what they were before ranges were checked."""
    settings = Settings.from_environment(
        {"NOM_LOG_LEVEL": "INFO", "NOM_FEED_STALE_H": "0", "NOM_DECISION_RECORDS": "False"}
    )
    assert (settings.log_level, settings.feed_stale_h, settings.decision_records) == (
        "info",
        0,
        False,
    )


def test_a_misspelled_setting_is_told_with_the_one_that_was_meant() -> None:
    """It would do nothing, and nobody would know why."""
    assert unknown({"NOM_DEADLIN_MS": "1", "NOM_PORT": "1", "HOME": "/"}) == [
        "NOM_DEADLIN_MS is no setting and does nothing. NOM_DEADLINE_MS is one."
    ]


def test_a_command_ends_with_the_sentences_alone(tmp_path: Path) -> None:
    """A traceback says where the code is, not what to change."""
    ended = subprocess.run(
        [sys.executable, "-c", "from services.cli import main; main()", "serve"],
        env={**os.environ, "NOM_HOME": str(tmp_path), "NOM_PORT": "-1", "NOM_LANES": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr == (
        "Error: NOM_PORT is '-1'; give a whole number from 0 to 65535.\n"
        "NOM_LANES is '0'; give a whole number from 1 to 1024.\n"
    )
