"""When things come: at Christmas, on a holiday, on the busiest day, all at once or in turn."""

from datetime import timedelta

from routing.voice import on
from tests.scenarios import shop
from tests.scenarios.shop import FIFTH_AVENUE, NEWARK, RENO
from tests.scenarios.words import YEAR, Story, called, clocks_go_back, day, in_full

CHRISTMAS = {
    "calendar_id": "christmas",
    "weekdays": [1, 2, 3, 4, 5, 6, 7],
    "holidays": [f"{YEAR}-12-25", f"{YEAR}-12-26"],
}


async def christmas_is_near(story: Story) -> None:
    """Nobody works or drives on the 25th and 26th; Newark has a lamp and expects sofas."""
    await story.has_other_rules("/v1/calendars", {"calendars": [CHRISTMAS]})
    for node_id in (NEWARK, FIFTH_AVENUE):
        body = shop.node(node_id, calendar_id="christmas")
        await story.has_other_rules(f"/v1/nodes/{node_id}", body)
        way = shop.lane(node_id, "EAST", calendar_id="christmas")
        await story.has_other_rules("/v1/lanes", {"lanes": [way]})
    await story.there_are(NEWARK, "5 LAMP")
    await story.are_expected(NEWARK, "3 SOFA", "4 January")


async def test_a_mixed_basket_a_minute_before_the_christmas_cut_off(story: Story) -> None:
    """Ordered at 13:59 on the 23rd, the lamp comes on Christmas Eve and the sofa in January."""
    await christmas_is_near(story)
    await story.it_is("23 December 13:59")

    order = await story.customer_orders("1 LAMP", "1 SOFA", backorder=True, strategy="fastest")

    order.is_planned(
        "newark ships 1 LAMP on 23 December, to arrive on 24 December",
        "newark ships 1 SOFA of PO-1 on 4 January, to arrive on 5 January",
    )
    order.costs("24.70", parcels="20.00", handling="2.20", split="2.50")
    await order.is_explained(
        f"Newark ships 1 Lamp by ground, leaving on {in_full('23 December')} and arriving on "
        f"{in_full('24 December')}, for 6.10 USD.",
        f"arriving on {in_full('5 January')}, with supply expected by {in_full('4 January')}",
        "No plan is cheaper",
    )
    await order.is_paid()
    await story.all_agrees()


async def test_a_mixed_basket_a_minute_after_the_christmas_cut_off(story: Story) -> None:
    """Ordered at 14:01, the lamp leaves on the 24th and is on the way over both holidays."""
    await christmas_is_near(story)
    await story.it_is("23 December 14:01")

    order = await story.customer_orders("1 LAMP", "1 SOFA", backorder=True, strategy="fastest")

    order.is_planned(
        "newark ships 1 LAMP on 24 December, to arrive on 27 December",
        "newark ships 1 SOFA of PO-1 on 4 January, to arrive on 5 January",
    )
    order.costs("24.70", parcels="20.00", handling="2.20", split="2.50")
    await order.is_explained(
        f"leaving on {in_full('24 December')} and arriving on {in_full('27 December')}"
    )
    await story.all_agrees()


async def test_a_basket_held_before_the_cut_off_and_paid_after_it_is_promised_anew(
    story: Story,
) -> None:
    """Shown Christmas Eve, paid too late for it: the confirm says the 27th, not the 24th."""
    await christmas_is_near(story)
    await story.it_is("23 December 13:59")
    order = await story.customer_orders("1 LAMP")
    order.is_planned("newark ships 1 LAMP on 23 December, to arrive on 24 December")

    await story.it_is("23 December 14:01")
    paid = await order.is_paid()

    (part,) = paid["fulfillments"]
    assert (called(part["work_on"]), called(part["promise"]["latest"])) == (
        "24 December",
        "27 December",
    )
    await story.all_agrees()


async def test_a_holiday_in_the_east_on_the_day_after_clocks_go_back(story: Story) -> None:
    """Newark rests on the Sunday on which the day has 25 hours; Reno works, by winter time.

    Two customers order the same lamp in the same minute of Saturday night.
    """
    sunday = clocks_go_back("America/New_York")
    monday, tuesday = sunday + timedelta(days=1), sunday + timedelta(days=2)
    marathon = {
        "calendar_id": "marathon",
        "weekdays": [1, 2, 3, 4, 5, 6, 7],
        "holidays": [str(sunday)],
    }
    await story.has_other_rules("/v1/calendars", {"calendars": [marathon]})
    body = shop.node(NEWARK, calendar_id="marathon")
    await story.has_other_rules(f"/v1/nodes/{NEWARK}", body)
    await story.there_are(NEWARK, "5 LAMP")
    await story.there_are(RENO, "5 LAMP")
    saturday = sunday - timedelta(days=1)
    await story.it_is(f"{called(str(saturday))} 23:30")

    east = await story.customer_orders("1 LAMP", to="New York", name="east")
    west = await story.customer_orders("1 LAMP", to="Los Angeles", name="west")

    east.is_planned(
        f"newark ships 1 LAMP on {called(str(monday))}, to arrive on {called(str(tuesday))}"
    )
    west.is_planned(
        f"reno ships 1 LAMP on {called(str(sunday))}, to arrive on {called(str(monday))}"
    )
    assert east.held["fulfillments"][0]["ship_by"] == f"{monday}T19:00:00Z", "14:00 in New York"
    assert west.held["fulfillments"][0]["ship_by"] == f"{sunday}T22:00:00Z", "14:00 in Reno"
    for order in (east, west):
        order.costs("6.10", parcels="5.00", handling="1.10")
    await east.is_explained(f"leaving on {on(monday)} and arriving on {on(tuesday)}")
    await west.is_explained(f"leaving on {on(sunday)} and arriving on {on(monday)}")
    await story.all_agrees()


async def test_a_warehouse_that_is_full_on_black_friday_promises_saturday(story: Story) -> None:
    """Newark does two orders a day; the third is promised a day later, and not from far away."""
    body = shop.node(NEWARK, capacity_unit="orders", capacity_maximum=2)
    await story.has_other_rules(f"/v1/nodes/{NEWARK}", body)
    await story.there_are(NEWARK, "9 LAMP")
    await story.there_are(RENO, "9 LAMP")
    await story.it_is("26 November 10:00")

    orders = [await story.customer_orders("1 LAMP", name=f"order-{n}") for n in range(3)]

    for order in orders[:2]:
        order.is_planned("newark ships 1 LAMP on 26 November, to arrive on 27 November")
    orders[2].is_planned("newark ships 1 LAMP on 27 November, to arrive on 28 November")
    for order in orders:
        order.costs("6.10", parcels="5.00", handling="1.10")
    await orders[2].is_explained(
        f"Newark ships 1 Lamp by ground, leaving on {in_full('27 November')}",
        "Reno would have been chosen at 7.",
    )
    assert (await orders[2].is_paid())["status"] == "confirmed"
    await story.all_agrees()


async def test_one_parcel_later_or_two_sooner_is_the_customers_choice(story: Story) -> None:
    """A mug is here, a lamp comes next week: both choices are priced, and the chosen one is held."""
    await story.there_are(NEWARK, "5 MUG")
    await story.are_expected(NEWARK, "5 LAMP", "9 March")
    basket = {
        "lines": [
            {"line_id": "1", "sku": "MUG", "quantity": 1},
            {"line_id": "2", "sku": "LAMP", "quantity": 1},
        ],
        "destination": shop.CITIES["New York"],
        "policy": {"backorder": True},
    }

    offered = await story.called_by("checkout", "POST", "/v1/promises", basket)

    choices = {each["choice"]: each for each in offered["choices"]}
    one, two = choices["recommended"], choices["sooner"]
    assert (one["shipments"], called(one["promise"]["earliest"])) == (1, "10 March")
    assert (two["shipments"], called(two["promise"]["earliest"])) == (2, "3 March")
    assert called(two["promise"]["latest"]) == "10 March"
    assert two["extra"]["amount_minor"] == 500 + 100 + 250, "a parcel, its handling, the split"

    later = await story.customer_orders("1 MUG", "1 LAMP", name="later", **one["policy"])
    sooner = await story.customer_orders("1 MUG", "1 LAMP", name="sooner", **two["policy"])

    later.is_planned("newark ships 1 MUG and 1 LAMP of PO-1 on 9 March, to arrive on 10 March")
    later.costs("6.20", parcels="5.00", handling="1.20")
    sooner.is_planned(
        "newark ships 1 MUG on 2 March, to arrive on 3 March",
        "newark ships 1 LAMP of PO-1 on 9 March, to arrive on 10 March",
    )
    sooner.costs("14.70", parcels="10.00", handling="2.20", split="2.50")
    await later.is_explained(f"arriving on {in_full('10 March')}, with supply expected by")
    await sooner.is_explained("split 2.50 USD", f"arriving on {in_full('3 March')}")
    assert day("9 March").year == YEAR
    await story.all_agrees()
