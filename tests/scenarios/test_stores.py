"""What stores do for online customers: hand over today, receive for tomorrow, keep for walk-ins."""

from tests.scenarios import shop
from tests.scenarios.shop import FIFTH_AVENUE, NEWARK, RENO
from tests.scenarios.words import Story, in_full


async def test_the_first_collects_today_and_the_second_tomorrow_what_is_sent_to_the_store(
    story: Story,
) -> None:
    """One lamp stands in Fifth Avenue; for the next customer Newark sends one there tonight.

    It comes tomorrow; whether that is early enough to be ready the same day nobody can say.
    """
    able = shop.node(NEWARK, capabilities=["ship", "ship_to_store"])
    await story.has_other_rules(f"/v1/nodes/{NEWARK}", able)
    await story.there_are(FIFTH_AVENUE, "1 LAMP")
    await story.there_are(NEWARK, "5 LAMP")
    wanted = "1 LAMP collected at fifth-avenue"

    today = await story.customer_orders(wanted, name="today")
    tomorrow = await story.customer_orders(wanted, name="tomorrow")

    today.is_planned("fifth-avenue hands over 1 LAMP from 2 March")
    today.costs("2.10", handling="2.10")
    tomorrow.is_planned("newark sends 1 LAMP to fifth-avenue on 2 March, ready there by 4 March")
    tomorrow.costs("8.20", parcels="5.00", handling="3.20")
    await today.is_explained(
        f"Fifth Avenue hands over 1 Lamp, ready on {in_full('2 March')}, for 2.10 USD."
    )
    await tomorrow.is_explained(
        f"Newark sends 1 Lamp to Fifth Avenue by ground, leaving on {in_full('2 March')} and ready"
        " there between ",
        f" and {in_full('4 March')}, for 8.20 USD.",
        "Fifth Avenue would have been chosen with 1 Lamp more, which would have saved 6.",
        asked_about=FIFTH_AVENUE,
    )
    for order in (today, tomorrow):
        await order.is_paid()
    await story.all_agrees()


async def test_a_flash_sale_leaves_the_last_mugs_in_stores_to_their_walk_ins(story: Story) -> None:
    """Fifth Avenue sold thirty mugs over the counter and has one left; online buyers get Reno's.

    Each mug earns 40.00 at the counter. Without protection the nearest parcel would win, and when
    nobody else has a mug, the store gives its last one: no price is worth losing a customer.
    """
    mug = {"name": "Mug", "weight_grams": 400, "unit_margin_minor": 4_000}
    await story.has_other_rules("/v1/items/MUG", mug)
    await story.there_are(FIFTH_AVENUE, "31 MUG")
    await story.there_are(RENO, "1 MUG")
    await story.till_sells(FIFTH_AVENUE, "30 MUG")
    await story.prices_are_learned()

    plain = await story.customer_orders("1 MUG", name="plain")
    plain.is_planned("fifth-avenue ships 1 MUG on 2 March, to arrive on 3 March")
    plain.costs("7.10", parcels="5.00", handling="2.10")
    await plain.is_left()

    protected = await story.customer_orders("1 MUG", name="flash-1", strategy="protect-stores")
    protected.is_planned("reno ships 1 MUG on 2 March, to arrive on 6 March")
    protected.costs("13.10", parcels="12.00", handling="1.10")
    await protected.is_explained(
        "Reno ships 1 Mug by ground",
        "Fifth Avenue would have been chosen if units there were worth ",
        asked_about=FIFTH_AVENUE,
    )

    last = await story.customer_orders("1 MUG", name="flash-2", strategy="protect-stores")
    last.is_planned("fifth-avenue ships 1 MUG on 2 March, to arrive on 3 March")
    await last.is_explained("for what the units may be worth at their nodes otherwise")
    for order in (protected, last):
        await order.is_paid()
    await story.all_agrees()
