"""What goes where: gas to an island, and goods that are not there, or not yet, or come back."""

from tests.scenarios import shop
from tests.scenarios.shop import FIFTH_AVENUE, NEWARK, RENO
from tests.scenarios.words import Story, called, in_full
from tests.services.fulfillment.rejection_calls import queue


async def test_camping_gas_goes_to_an_island_by_sea_from_the_one_place_that_may_send_it(
    story: Story,
) -> None:
    """Reno is nearer to the mugs' price, but only Newark may pack gas, and only ships carry it."""
    hawaii = {
        "zone_id": "HAWAII",
        "country": "US",
        "postal_prefixes": ["968"],
        "latitude": 21.3,
        "longitude": -157.9,
        "time_zone": "Pacific/Honolulu",
    }
    await story.has_other_rules("/v1/zones", {"zones": [hawaii]})
    await story.has_other_rules("/v1/tariffs", {"tariffs": [shop.tariff("sea", 1_800)]})
    sea = {"service": "sea", "tariff_id": "sea", "transit_days_min": 9, "transit_days_max": 9}
    ways = [shop.lane(node_id, "HAWAII", **sea) for node_id in (NEWARK, RENO)]
    await story.has_other_rules("/v1/lanes", {"lanes": ways})
    gas = {"name": "Camping gas", "weight_grams": 900, "requires": ["hazmat"]}
    await story.has_other_rules("/v1/items/GAS", gas)
    able = shop.node(NEWARK, capabilities=["ship", "hazmat"], handling_order_minor=400)
    await story.has_other_rules(f"/v1/nodes/{NEWARK}", able)
    for node_id in (NEWARK, RENO):
        await story.there_are(node_id, "5 GAS", "5 MUG")

    order = await story.customer_orders("2 GAS", "1 MUG", to="Honolulu")

    order.is_planned("newark ships 2 GAS and 1 MUG on 2 March, to arrive on 11 March")
    order.costs("22.30", parcels="18.00", handling="4.30")
    await order.is_explained(
        "Newark ships 2 Camping gas and 1 Mug by sea",
        asked_about=RENO,
    )
    only_mugs = await story.customer_orders("1 MUG", to="Honolulu", name="order-2")
    only_mugs.is_planned("reno ships 1 MUG on 2 March, to arrive on 11 March")

    gas_alone = await story.customer_orders("1 GAS", to="Honolulu", name="order-3")
    gas_alone.is_planned("newark ships 1 GAS on 2 March, to arrive on 11 March")
    await gas_alone.is_explained(
        "Reno may not ship or hand over any of the items it holds.",
        "Neither lower prices of Reno nor what it lacked would have made a cheaper plan.",
        asked_about=RENO,
    )
    await story.all_agrees()


async def test_a_store_rejects_half_of_an_order_and_the_promise_is_kept(story: Story) -> None:
    """One of two mugs is broken: the other leaves as planned, a new one comes from Newark.

    All that gets worse is that there are two parcels now.
    """
    await story.there_are(FIFTH_AVENUE, "2 MUG")
    await story.there_are(RENO, "5 MUG")
    order = await story.customer_orders("2 MUG")
    order.is_planned("fifth-avenue ships 2 MUG on 2 March, to arrive on 3 March")
    order.costs("7.20", parcels="5.00", handling="2.20")
    await order.is_explained("Fifth Avenue ships 2 Mug by ground")
    await order.is_paid()
    await story.there_are(NEWARK, "4 MUG")

    work = (await order.works())[FIFTH_AVENUE]
    said = await story.called_by(
        "store",
        "POST",
        f"/v1/fulfillment-orders/{work['fulfillment_order_id']}/reject",
        {"reason": "damaged", "lines": [{"line_id": "1", "quantity": 1}]},
    )

    (fate,) = said["units"]
    assert (fate["became"], fate["node_id"], fate["worse"]) == ("moved", NEWARK, ["parcels"])
    works = await order.works()
    assert [(node, each["lines"][0]["quantity"]) for node, each in sorted(works.items())] == [
        (FIFTH_AVENUE, 2),
        (NEWARK, 1),
    ]
    assert works[FIFTH_AVENUE]["lines"][0]["rejected"] == 1
    assert called(works[NEWARK]["promise"]["latest"]) == "3 March"
    assert {"fulfillment_order.rejected", "fulfillment_order.moved"} <= {*await order.told()}
    await story.all_agrees()


async def test_a_supplier_slips_a_week_and_the_customer_is_told(story: Story) -> None:
    """The sofa was to come on the 9th and comes on the 16th: new dates, and somebody to call."""
    await story.are_expected(NEWARK, "2 SOFA", "9 March")
    order = await story.customer_orders("1 SOFA", backorder=True)
    order.is_planned("newark ships 1 SOFA of PO-1 on 9 March, to arrive on 10 March")
    order.costs("16.10", parcels="15.00", handling="1.10")
    await order.is_explained(f"with supply expected by {in_full('9 March')}")
    await order.is_paid()

    await story.are_expected(NEWARK, "2 SOFA", "16 March")
    await story.the_background_works()

    work = (await order.works())[NEWARK]
    assert (called(work["work_on"]), called(work["promise"]["latest"])) == ("16 March", "17 March")
    (late,) = await queue(story.caller)
    assert late["kind"] == "late"
    assert {name: called(on) for name, on in late["details"].items()} == {
        "promised_on": "10 March",
        "expected_on": "17 March",
    }
    assert "fulfillment_order.delayed" in await order.told()
    await story.all_agrees()


async def test_a_supplier_who_slips_is_replaced_by_one_who_keeps_the_promise(story: Story) -> None:
    """The same sofa stands in Reno since yesterday; what was promised can still be kept."""
    await story.are_expected(NEWARK, "2 SOFA", "9 March")
    order = await story.customer_orders("1 SOFA", backorder=True)
    await order.is_paid()
    await story.there_are(RENO, "1 SOFA")

    await story.are_expected(NEWARK, "2 SOFA", "16 March")
    await story.the_background_works()

    work = (await order.works())[RENO]
    assert called(work["promise"]["latest"]) <= "9 March"
    assert work["lines"][0]["quantity"] == 1
    assert await queue(story.caller) == []
    await story.all_agrees()


async def test_goods_that_come_today_after_the_cut_off_are_not_promised_for_today(
    story: Story,
) -> None:
    """The supplier says at three that the sofa has come early after all; it leaves tomorrow."""
    await story.are_expected(NEWARK, "2 SOFA", "5 March")
    order = await story.customer_orders("1 SOFA", backorder=True)
    await order.is_paid()
    await story.it_is("6 March 15:00")

    await story.are_expected(NEWARK, "2 SOFA", "6 March")
    await story.the_background_works()

    work = (await order.works())[NEWARK]
    assert (called(work["work_on"]), called(work["promise"]["latest"])) == ("7 March", "8 March")
    await story.all_agrees()


async def test_a_return_is_exchanged_before_the_old_one_is_back(story: Story) -> None:
    """The new lamp leaves at once; the mug is on its way and nobody has it to sell yet."""
    await story.there_are(FIFTH_AVENUE, "1 MUG")
    await story.there_are(NEWARK, "2 LAMP")
    first = await story.customer_orders("1 MUG")
    await first.is_paid()
    work = (await first.works())[FIFTH_AVENUE]
    path = f"/v1/fulfillment-orders/{work['fulfillment_order_id']}"
    await story.called_by("store", "POST", f"{path}/pick", {})
    await story.called_by("store", "POST", f"{path}/ship", {"carrier": "ground", "tracking": "1Z"})
    await story.it_is("8 March 10:00")

    line = {"line_id": "1", "quantity": 1, "reason": "wrong color", "disposition": "restock"}
    announced = await story.called_by(
        "checkout", "POST", "/v1/returns", {"order_id": "order-1", "lines": [line]}
    )
    wanted = {
        "order_id": "order-1-new",
        "lines": [{"line_id": "1", "sku": "LAMP", "quantity": 1}],
        "destination": shop.CITIES["New York"],
        "policy": {"ship_complete": True},
    }
    way = f"/v1/returns/{announced['return_id']}"
    given = await story.called_by("checkout", "POST", f"{way}/exchange", wanted)

    assert (given["state"], given["exchange"]["order_id"]) == ("announced", "order-1-new")
    new = await story.holding(given["exchange"]["allocation_id"])
    new.is_planned("newark ships 1 LAMP on 8 March, to arrive on 9 March")
    new.costs("6.10", parcels="5.00", handling="1.10")
    await new.is_explained("Newark ships 1 Lamp by ground")
    assert (await new.is_paid())["exchange_for"] == announced["return_id"]
    assert await story.on_hand("MUG", FIFTH_AVENUE) == 0
    await story.called_by("store", "POST", f"{way}/receive", {"node_id": FIFTH_AVENUE})
    assert await story.on_hand("MUG", FIFTH_AVENUE) == 1
    await story.all_agrees()
