"""The demonstration network is what the report says it is, from the real data, the same each time."""

from collections import Counter, defaultdict
from datetime import date
from itertools import islice
from zoneinfo import available_timezones

import msgspec
import numpy as np
import pytest

from services.demo import goods, grocer, packages
from services.demo.grocer import NOT_GOODS, Dropped, Product, Sales
from services.demo.network import DemoNetwork, build
from services.demo.orders import DemoOrder, baskets, orders
from tests.services.demo.conftest import SEED

TODAY = date(2026, 3, 2)


def fingerprint(network: DemoNetwork) -> bytes:
    whole = msgspec.structs.asdict(network)
    del whole["sales"]
    return msgspec.json.encode(whole)


def test_it_has_the_stores_products_and_lines_of_the_data(network: DemoNetwork) -> None:
    """These are the figures anyone can count in the package."""
    facts = network.facts
    assert (facts.stores, facts.warehouses, facts.items) == (457, 6, 68_509)
    assert (facts.lines, facts.baskets) == (1_469_307, 155_848)
    assert facts.stores_below_50_lines == 269


def test_every_line_left_out_is_counted(network: DemoNetwork) -> None:
    """Zero, above 99, or no goods: together with what is kept they are all lines there are."""
    facts = network.facts
    assert (facts.lines_quantity_zero, facts.lines_quantity_above_max) == (8_869, 13_510)
    dropped = facts.lines_quantity_zero + facts.lines_quantity_above_max + facts.lines_not_goods
    assert facts.lines_kept + dropped == facts.lines
    assert network.sales.quantities.min() == 1
    assert network.sales.quantities.max() <= 99


def test_a_line_is_left_out_for_the_first_reason_alone() -> None:
    """Counting a line of fuel with a huge quantity twice would make the figures not add up."""
    known = [
        Product(product_id=number, department=department, category="", kind="", size="")
        for number, department in ((1, "GROCERY"), (2, NOT_GOODS[0]))
    ]
    ones = np.ones(5, dtype=np.int64)
    sales = Sales(
        basket_ids=ones,
        store_ids=ones,
        product_ids=np.array([1, 1, 2, 2, 1]),
        quantities=np.array([0, 100, 5_000, 1, 99]),
        sold_at=np.zeros(5, dtype="datetime64[ns]"),
    )
    kept, dropped = grocer.goods(sales, known)
    assert kept.quantities.tolist() == [99]
    assert dropped == Dropped(quantity_zero=1, quantity_above_max=2, not_goods=1)


def test_the_same_seed_gives_the_same_network_and_another_seed_another(
    network: DemoNetwork,
) -> None:
    """A report that cannot be made again proves nothing."""
    assert fingerprint(build(SEED)) == fingerprint(network)
    assert fingerprint(build(SEED + 1)) != fingerprint(network)


def test_every_item_has_a_weight_that_a_parcel_can_carry(network: DemoNetwork) -> None:
    """One weightless or unliftable product would make orders cheap or impossible."""
    heaviest = min(tariff.brackets[-1].weight_grams_max for tariff in network.tariffs)
    assert all(0 < item.weight_grams <= heaviest for item in network.items)
    facts = network.facts
    counted = facts.items_with_size + facts.items_size_without_weight + facts.items_without_size
    assert counted == facts.items


def test_a_size_that_is_missing_takes_the_median_of_its_category() -> None:
    """Then of its department, then of all, so that every item has a weight."""
    sized = [("A", "TEA", "4 OZ"), ("A", "TEA", "8 OZ"), ("A", "TEA", "2 LB"), ("B", "HAM", "1 LB")]
    bare = [("A", "TEA", ""), ("A", "OIL", ""), ("C", "TOY", "")]
    found = goods.goods(
        [
            Product(product_id=number, department=dep, category=cat, kind="", size=size)
            for number, (dep, cat, size) in enumerate([*sized, *bare])
        ]
    )
    assert [item.weight_grams for item in found[4:]] == [227, 227, 227]


def test_stores_hold_what_they_sold_and_warehouses_half_of_the_skus(network: DemoNetwork) -> None:
    """At least one of each; four weeks at the store's own pace."""
    sold: dict[tuple[str, str], int] = defaultdict(int)
    columns = (network.sales.product_ids, network.sales.store_ids, network.sales.quantities)
    for sku, store, quantity in zip(*(column.tolist() for column in columns), strict=True):
        sold[str(sku), f"store-{store}"] += quantity
    stock = network.stock
    held = dict(zip(zip(stock.skus, stock.node_ids, strict=True), stock.quantities, strict=True))
    in_stores = {key: units for key, units in held.items() if key[1].startswith("store-")}
    assert in_stores == {key: max(1, round(units * 28 / 365)) for key, units in sold.items()}
    skus = len({sku for sku, _ in sold})
    carried = Counter(node for _, node in held if node.startswith("warehouse-"))
    assert set(carried.values()) == {skus // 2}
    assert len(carried) == 6


def test_every_node_reaches_every_zone_by_ground(network: DemoNetwork) -> None:
    """A missing lane would show as a plan that is dearer for no visible reason."""
    ground = Counter(lane.service for lane in network.lanes)["ground"]
    assert ground == len(network.nodes) * len(network.zones)
    assert 100 <= len(network.zones) <= 150
    known = {tariff.tariff_id for tariff in network.tariffs}
    assert {lane.tariff_id for lane in network.lanes} == known


def test_a_parcel_costs_more_the_farther_and_the_heavier(network: DemoNetwork) -> None:
    """A slip in the price list would send parcels around the country."""
    for service in ("ground", "express"):
        prices = [
            [bracket.price_minor for bracket in tariff.brackets]
            for tariff in network.tariffs
            if tariff.tariff_id.startswith(service)
        ]
        assert all(row == sorted(set(row)) for row in prices)
        assert all(list(column) == sorted(set(column)) for column in zip(*prices, strict=True))


def test_nodes_stand_in_real_time_zones_and_no_two_in_one_place(network: DemoNetwork) -> None:
    """Cut-offs are local; two nodes in one place would be one to every plan."""
    assert {node.time_zone for node in network.nodes} <= available_timezones()
    places = {(node.latitude, node.longitude) for node in network.nodes}
    assert len(places) == len(network.nodes)


def test_no_postal_prefix_belongs_to_two_zones(network: DemoNetwork) -> None:
    """The first by id would win, and nobody would see why."""
    prefixes = [prefix for zone in network.zones for prefix in zone.postal_prefixes]
    assert len(prefixes) == len(set(prefixes))


def test_a_package_that_is_missing_is_named_with_its_remedy() -> None:
    """The extra is not installed with the service."""
    with pytest.raises(packages.MissingPackageError, match=r"pip install 'nom\[demo\]'"):
        packages.needed("no_such_package_of_the_demonstration")


# --- orders


def first(network: DemoNetwork, count: int) -> list[DemoOrder]:
    return list(orders(network, count, TODAY, run="test"))


def test_orders_are_the_real_baskets_in_time_order(network: DemoNetwork) -> None:
    """Line by line: the same products, the real quantities, nothing twice."""
    found = baskets(network.sales)
    assert len(found.starts) == network.facts.baskets_kept
    starts = network.sales.sold_at[found.starts]
    assert bool((starts[1:] >= starts[:-1]).all())
    for order, start, end in zip(first(network, 200), found.starts, found.ends, strict=False):
        skus = [str(sku) for sku in network.sales.product_ids[start:end].tolist()]
        assert [line.sku for line in order.request.lines] == skus
        quantities = network.sales.quantities[start:end].tolist()
        assert [line.quantity for line in order.request.lines] == quantities


def test_a_longer_replay_begins_with_the_orders_of_a_shorter_one(network: DemoNetwork) -> None:
    """Every draw belongs to its basket, so that runs of different length can be compared."""
    assert first(network, 300)[:50] == first(network, 50)


def test_orders_are_delivered_picked_up_and_mixed(network: DemoNetwork) -> None:
    """A pickup is at the basket's own store; a shipped line has somewhere to go."""
    shares = Counter(order.kind for order in first(network, 1_000))
    assert set(shares) == {"delivery", "pickup", "mixed"}
    assert min(shares.values()) > 100
    for order in islice(first(network, 300), 300):
        methods = {line.method for line in order.request.lines}
        expected = {"delivery": {"ship"}, "pickup": {"pickup"}, "mixed": {"ship", "pickup"}}
        assert methods == expected[order.kind]
        assert (order.request.destination is None) == (order.kind == "pickup")


def test_wished_dates_are_never_in_the_past(network: DemoNetwork) -> None:
    """The service would refuse them, and the replay would count it as lost orders."""
    wished = [
        line.requested_by
        for order in first(network, 500)
        for line in order.request.lines
        if line.requested_by is not None
    ]
    assert wished
    assert min(wished) > TODAY
