"""Key figures of a period, each with its formula; a ratio of nothing is told as null, not as zero."""

from datetime import date, datetime, timedelta
from typing import Annotated, Any

import asyncpg
import msgspec
from msgspec import Meta

from services.fulfillment import kpi_records as records
from services.fulfillment.hindsight import DayInHindsight, days_in_hindsight

JEOPARDY = timedelta(hours=2)
"""Work that is due this soon, and has not left, puts its order in jeopardy."""

Ratio = float | None


class OrderFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Of the orders that became firm in the period."""

    orders: int
    units: Annotated[int, Meta(description="Asked for.")]
    fill_rate: Annotated[Ratio, Meta(description="Units promised / units asked for.")]
    split_rate: Annotated[
        Ratio,
        Meta(
            description="Orders with more than one fulfillment order that was not given up / "
            "orders with at least one."
        ),
    ]
    cancel_rate: Annotated[Ratio, Meta(description="Orders cancelled whole / orders.")]
    cost_per_order_minor: Annotated[
        Ratio, Meta(description="Cost of the plans as promised / orders.")
    ]
    parcels_per_order_minor: Annotated[Ratio, Meta(description="Of it, what carriers get.")]


class WorkFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Of what nodes did for those orders."""

    node_id: Annotated[str | None, Meta(description="Null for all nodes together.")]
    fulfillment_orders: int
    units: int
    units_shipped: int
    units_collected: int
    item_rejection_rate: Annotated[Ratio, Meta(description="Units rejected / units asked of it.")]
    order_rejection_rate: Annotated[
        Ratio, Meta(description="Fulfillment orders with a rejected unit / fulfillment orders.")
    ]
    on_time_rate: Annotated[
        Ratio,
        Meta(
            description="Fulfillment orders whose last parcel left by `ship_by` / those of which "
            "one has left."
        ),
    ]
    delivered_on_time_rate: Annotated[
        Ratio,
        Meta(
            description="Parcels delivered by the end, UTC, of the day of `promise.latest` / "
            "parcels delivered."
        ),
    ]
    return_rate: Annotated[Ratio, Meta(description="Units returned / units shipped or collected.")]
    time_to_ready_p50_s: Annotated[
        Ratio, Meta(description="Median from submission to ready for pickup.")
    ]
    time_to_ready_p90_s: Ratio
    time_to_ship_p50_s: Annotated[
        Ratio, Meta(description="Median from submission to the last parcel's leaving.")
    ]


class Kpis(msgspec.Struct, frozen=True, kw_only=True):
    """The key figures of a period."""

    since: date
    until: Annotated[date, Meta(description="The day after the last one.")]
    channel: str | None
    orders: OrderFigures
    work: list[WorkFigures]
    hindsight: Annotated[
        list[DayInHindsight],
        Meta(description="Days of the period that have been looked back on; none by channel."),
    ]
    orders_in_jeopardy: Annotated[
        int,
        Meta(description="Now, whatever the period: with work that is overdue or due in 2 hours."),
    ]


async def kpis(
    connection: asyncpg.Connection,
    since: datetime,
    until: datetime,
    *,
    channel: str | None,
    by_node: bool,
    now: datetime,
) -> Kpis:
    """Return the key figures of orders confirmed from `since` on and before `until`."""
    orders = await records.read_orders(connection, since, until, channel)
    work = await records.read_work(connection, since, until, channel=channel, by_node=by_node)
    return Kpis(
        since=since.date(),
        until=until.date(),
        channel=channel,
        orders=order_figures(orders),
        work=[work_figures(row) for row in work],
        hindsight=[] if channel else await days_in_hindsight(connection, since, until),
        orders_in_jeopardy=await records.count_jeopardy(connection, now + JEOPARDY),
    )


def order_figures(row: asyncpg.Record) -> OrderFigures:
    """Return the figures of orders from their sums."""
    return OrderFigures(
        orders=row["orders"],
        units=row["units"],
        fill_rate=ratio(row["units"] - row["units_short"], row["units"]),
        split_rate=ratio(row["split"], row["fulfilled"]),
        cancel_rate=ratio(row["cancelled"], row["orders"]),
        cost_per_order_minor=ratio(row["cost_minor"], row["orders"]),
        parcels_per_order_minor=ratio(row["parcels_minor"], row["orders"]),
    )


def work_figures(row: dict[str, Any]) -> WorkFigures:
    """Return the figures of one node's work, or of all, from their sums."""
    return WorkFigures(
        node_id=row["node_id"],
        fulfillment_orders=row["fulfillment_orders"],
        units=row["units"],
        units_shipped=row["units_shipped"],
        units_collected=row["units_collected"],
        item_rejection_rate=ratio(row["units_rejected"], row["units"]),
        order_rejection_rate=ratio(row["with_rejection"], row["fulfillment_orders"]),
        on_time_rate=ratio(row["dispatched_on_time"], row["dispatched"]),
        delivered_on_time_rate=ratio(
            row["parcels_delivered"] - row["parcels_late"], row["parcels_delivered"]
        ),
        return_rate=ratio(row["units_returned"], row["units_shipped"] + row["units_collected"]),
        time_to_ready_p50_s=seconds(row["ready_p50_s"]),
        time_to_ready_p90_s=seconds(row["ready_p90_s"]),
        time_to_ship_p50_s=seconds(row["ship_p50_s"]),
    )


def ratio(part: int, whole: int) -> Ratio:
    """Return a share rounded to what anybody reads, or nothing of nothing."""
    return round(part / whole, 4) if whole else None


def seconds(value: object) -> Ratio:
    """Return a time rounded to tenths, or nothing where nothing was timed."""
    return None if value is None else round(float(str(value)), 1)
