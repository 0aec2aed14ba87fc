"""The drill of deploy/README.md: a copy taken under traffic, restored elsewhere, and audited."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from tests.running import Service, running_service, temporary_home

POLLS = 100
NOM = Path(sys.executable).parent / "nom"


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Yield the folder of the service that is backed up."""
    with temporary_home() as folder:
        yield folder


def nom(home: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command on the data in `home`."""
    command: list[str | Path] = [NOM, *arguments]
    environ = {**os.environ, "NOM_HOME": str(home)}
    return subprocess.run(command, env=environ, check=False, capture_output=True, text=True)


def bearer(home: Path, role: str) -> dict[str, str]:
    """Return the header that carries a new key."""
    return {"Authorization": f"Bearer {nom(home, 'keys', 'create', '--role', role).stdout.strip()}"}


def order(number: int) -> dict[str, Any]:
    """Return the body of an allocation on the small network."""
    return {
        "order_id": f"drill-{number}",
        "channel": "web",
        "destination": {"country": "US", "postal_code": "10001"},
        "lines": [{"line_id": "1", "sku": "mug-enamel", "quantity": 1}],
    }


def allocate(service: Service, key: dict[str, str], number: int) -> str | None:
    """Allocate one order; return its allocation, or None when the stock is used up."""
    headers = {**key, "Idempotency-Key": f"drill-{number}"}
    status, answer = service.call("POST", "/v1/allocations", order(number), **headers)
    assert status in {201, 409}, answer
    return answer["allocation_id"] if status == 201 else None


def assert_log_goes_on(service: Service, reader: dict[str, str]) -> None:
    """See that every event has one place, and that the release of `drill-0` comes after them.

    The restored server counts transactions from the start, so a place that was given by such a
    number would not be given again for a long time.
    """
    found: list[dict[str, Any]] = []
    for _ in range(POLLS):
        reached = found[-1]["position"] if found else 0
        _, page = service.call("GET", f"/v1/events?limit=500&after={reached}", **reader)
        found += page["events"]
        if found and found[-1]["kind"] == "allocation.released":
            break
        time.sleep(0.1)
    assert [each["position"] for each in found] == list(range(1, len(found) + 1))
    assert len({each["event_id"] for each in found}) == len(found)
    own = [each["kind"] for each in found if each["subject"] == "drill-0"]
    assert own == ["allocation.held", "allocation.released"]
    assert found[-1]["subject"] == "drill-0"


def test_a_restored_copy_has_every_promise_and_agrees_with_itself(home: Path) -> None:
    """A backup that was never restored is a hope; one taken at rest proves little."""
    copy = home / "drill.backup"
    with running_service(NOM, home, "--demonstration") as service:
        key = bearer(home, "checkout")
        promised = allocate(service, key, 0)
        assert promised is not None
        done = Event()

        def go_on_selling() -> None:
            for number in range(1, 10_000):
                if done.is_set():
                    return
                allocate(service, key, number)

        customers = Thread(target=go_on_selling)
        customers.start()
        backup = nom(home, "backup", copy)
        done.set()
        customers.join()
    assert backup.returncode == 0, backup.stderr
    assert copy.stat().st_mode & 0o077 == 0, "nobody else may read it"

    with temporary_home() as elsewhere:
        restored = nom(elsewhere, "restore", copy)
        assert restored.returncode == 0, restored.stderr
        audit = nom(elsewhere, "audit", "--json")
        assert (audit.returncode, audit.stdout.strip()) == (0, "[]")
        with running_service(NOM, elsewhere) as service:
            status, answer = service.call("GET", f"/v1/allocations/{promised}", **key)
            assert (status, answer["order_id"]) == (200, "drill-0")
            released, _ = service.call(
                "POST", f"/v1/allocations/{promised}/release", **key, **{"Idempotency-Key": "after"}
            )
            assert released == 200
            assert_log_goes_on(service, bearer(elsewhere, "operator"))
        again = nom(elsewhere, "restore", copy)
        assert again.returncode == 1
        assert "not empty" in again.stderr


def test_a_backup_that_fails_leaves_the_last_one_alone(home: Path, tmp_path: Path) -> None:
    """The night the database is away must not cost yesterday's copy."""
    copy = tmp_path / "nom.backup"
    copy.write_text("yesterday's")
    environ = {**os.environ, "DATABASE_URL": f"postgresql://nobody@/none?host={tmp_path}"}
    command: list[str | Path] = [NOM, "backup", copy]
    failed = subprocess.run(command, env=environ, check=False, capture_output=True, text=True)
    assert failed.returncode == 1
    assert copy.read_text() == "yesterday's"
    assert list(tmp_path.iterdir()) == [copy]
