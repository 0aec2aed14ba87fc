"""A real `nom serve` with a small network, keys of each role, and sight of its processes."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import httpx
import psutil

from services import keys
from services.database import Database
from services.embedded import running_url
from services.settings import Settings
from tests.running import Service, temporary_home
from tests.services.place import NEW_YORK, furnish

NOM = Path(sys.executable).with_name("nom")
END_S = 30
POLLS = 200
CONNECTIONS_TRIED = 100


class Served:
    """One service in a folder of its own, which can be killed in parts and started again."""

    def __init__(self, home: Path, arguments: Sequence[str], environ: Mapping[str, str]) -> None:
        """Start it on an empty folder."""
        self.home = home
        self.arguments = arguments
        self.environ = environ
        self.secrets: dict[str, str] = {}
        self.seen: dict[int, psutil.Process] = {}
        self.output = ""
        self.service = self.start()

    def start(self) -> Service:
        """Start the service and wait until it answers."""
        self.service = Service(NOM, self.home, *self.arguments, **self.environ)
        self.look()
        return self.service

    @property
    def address(self) -> str:
        """Where the service listens."""
        return self.service.address

    @property
    def database_url(self) -> str:
        """The embedded database's address."""
        url = running_url(self.home)
        if url is None:
            raise RuntimeError(f"no database runs in {self.home}")
        return url

    def headers(self, role: str, key: str) -> dict[str, str]:
        """Return the headers of a write."""
        return {"Authorization": f"Bearer {self.secrets[role]}", "Idempotency-Key": key}

    def look(self) -> dict[int, psutil.Process]:
        """Return the processes of the service as they are now, and remember that they were."""
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(self.service.process.pid)
            now = {each.pid: each for each in (root, *root.children(recursive=True))}
            self.seen |= now
            return now
        return {}

    def processes(self, word: str) -> list[psutil.Process]:
        """Return the service's processes whose command line has `word`, oldest first."""
        found = []
        for process in self.look().values():
            with suppress(psutil.Error):
                if word in " ".join(process.cmdline()):
                    found.append(process)
        return sorted(found, key=lambda process: process.create_time())

    def http_workers(self) -> list[psutil.Process]:
        """Return the HTTP workers."""
        return self.processes("services.server")

    def postmaster(self) -> psutil.Process:
        """Return the process from which all others of PostgreSQL come."""
        return self.processes("pginstall/bin/postgres")[0]

    def die(self, *, with_children: bool) -> None:
        """Kill the supervisor, or it and all it has started, without any warning."""
        victims = list(self.look().values()) if with_children else []
        self.service.process.kill()
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        self.service.process.wait(END_S)
        self.output += self.service.output
        _, alive = psutil.wait_procs(list(self.seen.values()), END_S)
        if alive:
            raise RuntimeError(f"outlived their supervisor: {alive}")

    def stop(self) -> int:
        """Stop the service as Ctrl-C does; returns its exit code."""
        self.look()
        code = self.service.stop(signal.SIGINT)
        self.output += self.service.output
        return code

    def left_over(self) -> list[psutil.Process]:
        """Return what still runs of all processes that were ever seen."""
        psutil.wait_procs(list(self.seen.values()), END_S)
        return [each for each in self.seen.values() if each.is_running()]


@asynccontextmanager
async def served(
    *arguments: str, store_node: str = "ST-EAST", **environ: str
) -> AsyncIterator[Served]:
    """Yield a service on its own embedded PostgreSQL, fsync on, with a key of each role."""
    with temporary_home() as home:
        service = Served(home, arguments, environ)
        try:
            async with database_of(service) as database:
                for role in keys.ROLES:
                    nodes = (store_node,) if role == "store" else ()
                    partner = "carrier" if role == "partner" else None
                    service.secrets[role] = await keys.create(database, role, nodes, partner)
            yield service
        finally:
            if service.service.process.poll() is None:
                service.stop()


@asynccontextmanager
async def furnished(*arguments: str, **environ: str) -> AsyncIterator[Served]:
    """Yield a service with the small network of the tests, known to all of its workers."""
    async with served(*arguments, **environ) as service:
        async with database_of(service) as database:
            await furnish(database)
        await until_each_worker_knows_the_network(service)
        yield service


@asynccontextmanager
async def database_of(service: Served) -> AsyncIterator[Database]:
    """Yield a pool of connections to the service's database."""
    url = service.database_url
    database = Database(url, Settings.from_environment({"DATABASE_URL": url}), connections_max=8)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def client_of_each_worker(service: Served) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Yield one client for each HTTP worker, each with one connection that stays with its worker."""
    workers = service.http_workers()
    async with AsyncExitStack() as stack:
        found: dict[int, httpx.AsyncClient] = {}
        for _ in range(CONNECTIONS_TRIED):
            client = await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=service.address,
                    timeout=END_S,
                    limits=httpx.Limits(max_connections=1, keepalive_expiry=END_S),
                )
            )
            live = await client.get("/health/live")
            port = live.extensions["network_stream"].get_extra_info("client_addr")[1]
            for worker in workers:
                peers = {
                    each.raddr.port
                    for each in worker.net_connections("tcp")
                    if each.status == psutil.CONN_ESTABLISHED
                }
                if port in peers:
                    found.setdefault(worker.pid, client)
            if len(found) == len(workers):
                yield list(found.values())
                return
        raise RuntimeError(f"{CONNECTIONS_TRIED} connections reached {len(found)} workers")


async def until_each_worker_knows_the_network(service: Served) -> None:
    """Wait until every worker has seen the furnished network, which it polls for."""
    body = {"lines": [{"line_id": "1", "sku": "MUG", "quantity": 1}], "destination": NEW_YORK}
    async with client_of_each_worker(service) as clients:
        for client in clients:
            for _ in range(POLLS):
                answer = await client.post(
                    "/v1/quotes", json=body, headers=service.headers("checkout", "-")
                )
                if answer.status_code == 200:
                    break
                await asyncio.sleep(0.1)
            else:
                raise RuntimeError(f"no plan on a furnished network: {answer.text}")
