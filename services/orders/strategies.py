"""Strategies: the prices routing follows, by name."""

from routing.problem import Policy

STRATEGIES: dict[str, Policy] = {
    "cheapest": Policy(strategy="cheapest"),
    # A day costs as much as the dearest upgrade to a faster service is worth to most shops.
    "fastest": Policy(strategy="fastest", delay_minor=2_000),
    # A second parcel has to save a whole parcel's price before it is worth the customer's door.
    "fewest_parcels": Policy(strategy="fewest_parcels", split_minor=2_500),
}
