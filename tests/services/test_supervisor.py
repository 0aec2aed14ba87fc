"""`nom serve` as a person runs it: real processes, real signals, and nothing left behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from services import supervisor
from services.children import Child, Role, Signals, backoff_s
from services.settings import Settings
from services.supervisor import ServeError, Supervisor
from tests.running import PATIENCE_S, Service, running_service, temporary_home

NOM = Path(sys.executable).parent / "nom"
CONNECTIONS = 40


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """Yield a service of two HTTP workers on a database of its own."""
    with temporary_home() as home, running_service(NOM, home, "--workers=2") as running:
        yield running


def children(service: Service) -> dict[int, str]:
    """Return the supervisor's children: process id, and the module or program each one runs."""
    found = {}
    for child in psutil.Process(service.process.pid).children():
        with suppress(psutil.Error):
            words = [w for w in child.cmdline() if "services." in w or w.endswith("postgres")]
            found[child.pid] = words[0].rpartition("/")[2] if words else "starting"
    return found


def everything(service: Service) -> list[psutil.Process]:
    """Return the supervisor and all that descends from it."""
    top = psutil.Process(service.process.pid)
    return [top, *top.children(recursive=True)]


def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.01)


def ready(service: Service) -> bool:
    """Tell whether the service answers that it is ready."""
    try:
        return service.call("GET", "/health/ready")[0] == 200
    except OSError:
        return False


def none_left(processes: list[psutil.Process]) -> bool:
    """Tell whether all of these processes have ended."""
    return psutil.wait_procs(processes, timeout=PATIENCE_S)[1] == []


def new_key(home: Path, role: str) -> dict[str, str]:
    """Create a key with the command for it, and return the header that carries the key."""
    command: list[str | Path] = [NOM, "keys", "create", "--role", role]
    environ = {**os.environ, "NOM_HOME": str(home)}
    answer = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
    return {"Authorization": f"Bearer {answer.stdout.strip()}"}


def held(worker: psutil.Process, service: Service) -> int:
    """Return how many connections of callers an HTTP worker holds."""
    port = urlsplit(service.address).port
    return sum(
        each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port
        for each in worker.net_connections()
    )


def test_workers_share_the_connections_of_callers(service: Service) -> None:
    """No worker must be left with nothing to do: one that holds fewer gets those that come.

    They come one after the other: a worker that a busy machine stops for longer than others let it
    go first loses that connection, and gets the next.
    """
    until(lambda: ready(service))
    workers = [
        psutil.Process(pid) for pid, name in children(service).items() if name == "services.server"
    ]
    place = urlsplit(service.address)
    address = str(place.hostname), int(place.port or 0)

    def all_held() -> int:
        return sum(held(each, service) for each in workers)

    with ExitStack() as pool:

        def connect() -> None:
            before = all_held()
            pool.enter_context(socket.create_connection(address))
            until(lambda: all_held() > before)

        workers[0].suspend()
        try:
            for _ in range(CONNECTIONS // 2):
                connect()
        finally:
            workers[0].resume()
        for _ in range(CONNECTIONS // 2):
            connect()
        first, second = [held(each, service) for each in workers]
    assert abs(first - second) <= CONNECTIONS // 4


@pytest.mark.parametrize(
    "name",
    ["services.server", "services.workers.background", "services.workers.sender", "postgres"],
)
def test_what_is_killed_comes_back(service: Service, name: str) -> None:
    """A worker, the background worker, PostgreSQL: each is restarted, and calls are answered."""
    until(lambda: "starting" not in children(service).values())
    before = children(service)
    killed = psutil.Process(next(number for number in before if before[number] == name))
    killed.kill()
    # A large process takes a moment to go, and looks well until then.
    assert none_left([killed])
    until(lambda: sorted(children(service).values()) == sorted(before.values()))
    until(lambda: ready(service))
    assert killed.pid not in children(service)


def test_metrics_are_summed_over_workers(service: Service) -> None:
    """An operator asks how the service is, not the worker that happens to answer."""
    bearer = new_key(service.home, "operator")
    for _ in range(20):
        assert service.call("GET", "/health/live")[0] == 200
    counted = re.compile(r'nom_requests_total\{[^}]*path="/health/live"[^}]*\} ([0-9.]+)')
    status, metrics = service.call("GET", "/metrics", **bearer)
    assert status == 200
    assert sum(float(count) for count in counted.findall(metrics)) >= 20


def test_a_stop_leaves_no_process_and_loses_nothing() -> None:
    """Ctrl-C ends everything; the next start has the keys of before; SIGTERM ends it as well."""
    with temporary_home() as home:
        bearer = new_key(home, "operator")
        for number in (signal.SIGINT, signal.SIGTERM):
            with running_service(NOM, home) as running:
                assert running.call("GET", "/metrics", **bearer)[0] == 200
                processes = everything(running)
                assert running.stop(number) == 0
                assert none_left(processes)


def test_a_stop_during_the_start_leaves_no_process() -> None:
    """Who notices a mistake at once presses Ctrl-C at once, while the database is being made."""
    with temporary_home() as home:
        starting = subprocess.Popen(
            [NOM, "serve", "--port=0"],
            env={**os.environ, "NOM_HOME": str(home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until((home / "postgres" / "postmaster.pid").exists)
        processes = [psutil.Process(starting.pid)]
        processes += processes[0].children(recursive=True)
        starting.send_signal(signal.SIGINT)
        assert starting.wait(PATIENCE_S) == 128 + signal.SIGINT
        assert none_left(processes)


def test_a_killed_service_leaves_no_process() -> None:
    """`kill -9` of the supervisor cannot be caught; the system ends its children for it."""
    with temporary_home() as home, running_service(NOM, home) as running:
        processes = everything(running)
        running.process.kill()
        assert none_left(processes)


def test_a_taken_port_is_said_plainly() -> None:
    """The likeliest mistake is a second start; it must not sound like a broken network."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match="NOM_PORT"), supervisor.listen("127.0.0.1", port):
            pass


async def test_too_few_connections_are_found_at_start(database_url: str) -> None:
    """Workers that open more connections than the server allows would fail only under load."""
    settings = Settings.from_environment(
        {"DATABASE_URL": database_url, "NOM_WORKERS": "100", "NOM_LANES": "10"}
    )
    with pytest.raises(ServeError, match=f"need {settings.connections_needed} connections"):
        await supervisor.check_connections(settings)


def test_pauses_between_restarts_grow_up_to_a_limit() -> None:
    """A worker that dies at once must not be started hundreds of times a minute."""
    pauses = [backoff_s(failures) for failures in range(1, 12)]
    assert pauses[0] < 1
    assert pauses == sorted(pauses)
    assert pauses[-1] == pauses[-2] <= 10


def test_a_service_whose_worker_cannot_live_gives_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where restarting does not help, whoever supervises the supervisor has to know."""
    monkeypatch.setattr("services.children.BACKOFF_S", 0.0)
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    role = Role("broken", "services.no_such_module")
    with Signals() as signals:
        assert Supervisor([role], environment, None).run(signals, "never greeted") == 1
    assert "never greeted" not in capsys.readouterr().out


def test_a_child_that_does_not_stop_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that hangs must not keep the port, or a deployment, for ever."""
    monkeypatch.setattr(supervisor, "DRAIN_S", 0.2)
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    (tmp_path / "deaf.py").write_text(
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "os.write(int(sys.argv[1]), b'.')\n"
        "time.sleep(600)\n"
    )
    supervised = Supervisor([Role("deaf", "deaf")], environment, None)
    monkeypatch.setattr("builtins.print", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    seen: list[psutil.Process] = []
    start = Child.start

    def noted_start(child: Child, now_s: float) -> None:
        start(child, now_s)
        assert child.process is not None
        seen.append(psutil.Process(child.process.pid))

    monkeypatch.setattr(Child, "start", noted_start)
    with Signals() as signals:
        assert supervised.run(signals, "ready") == 0
    assert none_left(seen)
