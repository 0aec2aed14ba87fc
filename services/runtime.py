"""What one worker process holds while it runs."""

import asyncio

from routing.warm import warm
from services.database import Database
from services.events.streams import Streams
from services.keys import Keyring
from services.orders.allocate import Allocator
from services.people.staff import Reception
from services.planning.availability_view import Shelf
from services.planning.network import NetworkCache
from services.planning.stock_view import StockFollower
from services.prices.follower import PriceFollower
from services.settings import Settings


class Runtime:
    """The resources of one worker, opened and closed together."""

    def __init__(self, settings: Settings, url: str) -> None:
        """Prepare the parts; nothing is connected yet."""
        self.settings = settings
        self.database = Database(url, settings, connections_max=settings.worker_connections)
        self.keyring = Keyring(self.database, settings.key_cache_s, settings.rates)
        self.network = NetworkCache(self.database, settings.network_poll_ms)
        self.stock = StockFollower(self.database, settings.stock_poll_ms)
        self.shelf = Shelf(self.database, self.network, self.stock, settings.answers_kept_bytes_max)
        self.prices = PriceFollower(self.database, self.stock.view, settings.network_poll_ms)
        self.allocator = Allocator(self.database, self.network, self.stock, self.prices, settings)
        self.streams = Streams(self.database, settings)
        self.reception = Reception(self.database, settings)

    async def open(self) -> None:
        """Load the network, the stock and the optimizer's machine code; start taking orders."""
        ready = asyncio.create_task(asyncio.to_thread(warm))
        await self.network.open()
        await self.stock.open()
        await self.prices.open()
        await ready
        await self.shelf.open()
        await self.allocator.open()
        await self.streams.open()

    async def close(self) -> None:
        """Answer what has arrived, then let go of everything."""
        await self.streams.close()
        await self.allocator.close()
        await self.prices.close()
        await self.stock.close()
        await self.network.close()
        await self.database.close()


def prepare(settings: Settings) -> Runtime:
    """Return the resources that `settings` describe; nothing is connected yet.

    Raises `ValueError` when no database is named: the supervisor names the embedded one.
    """
    if settings.database_url is None:
        raise ValueError("Set DATABASE_URL, or start the service with `nom serve`.")
    return Runtime(settings, settings.database_url)
