"""What an order's units and fulfillments cost beyond money, by the learned prices of this moment."""

from functools import lru_cache

import msgspec
from prometheus_client import Counter

from inventory.view import StockView
from routing.basket import Basket
from routing.plan import Plan
from routing.problem import Policy
from services.observe import tally
from services.orders.ground import Ground
from services.orders.loads import Loads
from services.orders.request import AllocationRequest, QuoteRequest
from services.planning.playbook import Weights
from services.prices.follower import PriceFollower
from services.prices.pricing import Pricing, asked_of
from services.prices.terms import WALK_IN

decisions = Counter(
    "nom_priced_decisions", "Plans that cost something by a learned price", ["price"]
)


class Beyond:
    """Prices baskets for one worker."""

    def __init__(self, prices: PriceFollower, view: StockView) -> None:
        """Prepare; the prices are those that `prices` has in force at the time of an order."""
        self.prices = prices
        self.pricing = Pricing(view)
        self.loads = Loads(view)

    def priced(
        self,
        found: Basket,
        request: AllocationRequest | QuoteRequest,
        ground: Ground,
        weights: Weights | None,
    ) -> Basket:
        """Return a basket with all that its strategy, and its nodes by themselves, put a price on.

        It is the same one where that comes to nothing.
        """
        book = self.prices.in_force(found.now)
        surcharges, kept = self.loads.charged(found, ground, weights, book)
        held, policy = found.held, found.policy
        if book is not None and weights is not None:
            lines = [
                (line.sku, line.quantity, line.unit_price_minor or 0) for line in request.lines
            ]
            asked = asked_of(lines, held.skus, held.counts, held.numbers)
            worth = self.pricing.worth(book, asked, weights, ground.network, found.now)
            risk = self.pricing.risk(book, asked, weights, ground.network, found.now)
            held = held._replace(worth=worth.minor, risk=risk)
            if worth.terms.keys() - {WALK_IN}:
                # By itself it is all of the worth, and nothing more to be told.
                found = msgspec.structs.replace(found, terms=worth.terms)
        if not (held.worth.size or held.risk.size or surcharges or kept):
            return found
        if book is not None:
            policy = under(policy, book.version.version)
        return msgspec.structs.replace(
            found, held=held, policy=policy, surcharges=surcharges, capacity=kept
        )


@lru_cache(maxsize=256)
def under(policy: Policy, version: int) -> Policy:
    """Return a policy that names the version of the learned prices it is followed with."""
    return msgspec.structs.replace(policy, prices=version)


def count(plan: Plan) -> None:
    """Count a plan that costs something by a learned price, for each such price."""
    prices = plan.prices
    for name, minor in (
        ("worth", prices.worth_minor),
        ("risk", prices.risk_minor),
        ("surcharge", prices.surcharge_minor),
    ):
        if minor:
            tally.count(labelled(name))


@lru_cache(maxsize=8)
def labelled(name: str) -> Counter:
    """Return the count of plans with a price."""
    return decisions.labels(name)
