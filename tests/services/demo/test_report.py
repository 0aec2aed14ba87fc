"""The report says what happened, needs nothing but itself, and says the same in both forms."""

import re
from datetime import UTC, datetime
from html import unescape
from io import StringIO
from itertools import islice
from uuid import UUID
from xml.etree import ElementTree as ET

import msgspec
import pytest
from rich.console import Console

from routing.plan import Cost
from routing.solve import solve
from services.demo import page, picture, show, words
from services.demo.compare import Choice, Compared, Rebuilt, choice, compare, problems
from services.demo.measure import Audited, Summary, latency, summarize
from services.demo.network import DemoNetwork
from services.demo.orders import orders
from services.demo.replay import Event, Replay, Replayed
from services.orders.answers import AllocationAnswer, quote_answer

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
ORDERS = 60
NOWHERE = UUID(int=0)


def planned(network: DemoNetwork, count: int) -> Replay:
    """Return a replay in which every order was planned on what the orders before it left."""
    rebuilt = Rebuilt(network)
    done, events = [], []
    for order in islice(orders(network, count, NOW.date(), run="test"), count):
        replayed = Replayed(order=order, sent_at=NOW, latency_ms=order.number + 1.0, attempts=1)
        plan = solve(rebuilt.asked(replayed.order.request, replayed.sent_at))
        told = quote_answer(plan, 1, 50, "USD")
        replayed.answer = AllocationAnswer(
            allocation_id=NOWHERE,
            order_id=order.request.order_id,
            status="partial" if plan.shortfalls else "held",
            expires_at=NOW,
            promise_valid_until=NOW,
            fulfillments=told.fulfillments,
            shortfalls=told.shortfalls,
            cost=told.cost,
            solver=told.solver,
            decision="",
        )
        rebuilt.hold(replayed.answer)
        events += [Event("sent", order.number), Event("held", order.number)]
        done.append(replayed)
    return Replay(done, events, 2.0)


@pytest.fixture(scope="module")
def replayed(network: DemoNetwork) -> Replay:
    """Return a short replay, planned without a service."""
    return planned(network, ORDERS)


@pytest.fixture(scope="module")
def summary(network: DemoNetwork, replayed: Replay) -> Summary:
    """Return what the short replay came to."""
    found = [
        compare(each, problem) for each, problem in problems(network, replayed, set(range(ORDERS)))
    ]
    return summarize(network, replayed, found, [], Audited(0, []), concurrency=1)


def test_the_page_has_no_address_of_anything_else(network: DemoNetwork, summary: Summary) -> None:
    """It must open from a disk without a network, today and in ten years."""
    for text in (page.render(network, summary), page.standalone_map(network, summary)):
        without_names = text.replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not re.findall(r"https?:|//[a-z]|@import|url\(|<script|<link|src=", without_names)


def test_the_map_is_well_formed_and_shows_every_node(
    network: DemoNetwork, summary: Summary
) -> None:
    """A browser is lenient with HTML, and refuses a broken SVG."""
    drawn = ET.fromstring(page.standalone_map(network, summary))  # noqa: S314 - made here
    space = "{http://www.w3.org/2000/svg}"
    assert len(drawn.findall(f".//{space}circle")) == network.facts.stores
    assert len(drawn.findall(f"{space}rect[@class='node warehouse']")) == network.facts.warehouses
    for circle in drawn.findall(f".//{space}circle"):
        assert 0 <= float(circle.attrib["cx"]) <= picture.WIDTH
        assert 0 <= float(circle.attrib["cy"]) <= picture.HEIGHT


def test_the_page_and_the_terminal_give_the_same_figures(
    network: DemoNetwork, summary: Summary
) -> None:
    """Two reports that disagree are worse than none."""
    html = unescape(page.render(network, summary))
    terminal = Console(file=StringIO(), width=200)
    show.report(terminal, summary)
    assert isinstance(terminal.file, StringIO)
    printed = terminal.file.getvalue()
    for figure in words.figures(summary):
        assert figure.value in html
        assert figure.value in printed
    for table in words.tables(summary):
        for row in table.rows:
            assert all(cell in html for cell in row)


def test_flows_add_up_to_the_parcels(summary: Summary) -> None:
    """The map may leave small flows out, the sums may not."""
    assert sum(flow.parcels for flow in summary.flows) == summary.shipping.parcels


def test_every_order_is_in_one_class_of_lengths(summary: Summary) -> None:
    """A basket that falls between two classes would be missing from the shares."""
    assert sum(each.orders for each in summary.lengths) == summary.orders.sent == ORDERS
    assert sum(each.proven for each in summary.lengths) == summary.proof.proven


def test_filled_units_and_shortfalls_add_up(replayed: Replay, summary: Summary) -> None:
    """What was asked is allocated or short; nothing vanishes."""
    short = sum(
        shortfall.quantity
        for each in replayed.orders
        if each.answer
        for shortfall in each.answer.shortfalls
    )
    assert summary.orders.units_filled + short == summary.orders.units


def test_only_orders_filled_alike_are_compared(network: DemoNetwork, replayed: Replay) -> None:
    """A plan that leaves units out is cheaper and not better."""
    cheap, dear = Cost(total_minor=1), Cost(total_minor=5)
    alike = Compared(
        number=0, lines=1, proven=True, cost=dear, greedy_cost=cheap, shipments=1, greedy_shipments=1,
        units=2, greedy_units=2,
    )  # fmt: skip
    unlike = msgspec.structs.replace(alike, number=1, greedy_units=1)
    found = summarize(
        network, replayed, [alike, unlike, None], [], Audited(0, []), concurrency=1
    ).comparison
    assert (found.drawn, found.compared, found.greedy_cheaper) == (3, 1, 1)
    assert found.cost == dear
    assert found.greedy_cost == cheap


def test_the_rule_never_beats_a_proven_plan_on_the_same_stock(summary: Summary) -> None:
    """With one caller the compared problems are exactly those that were solved."""
    assert summary.comparison.compared == ORDERS
    assert summary.comparison.cost.total_minor < summary.comparison.greedy_cost.total_minor


def test_a_release_gives_its_stock_back_to_later_orders(
    network: DemoNetwork, replayed: Replay
) -> None:
    """Or the rule would plan later orders on less than they saw."""
    last = ORDERS - 1
    released = [Event("released", number) for number in range(last)]
    events = [*replayed.events[:-2], *released, *replayed.events[-2:]]
    again = Replay(replayed.orders, events, 1.0)
    [(order, problem)] = problems(network, again, {last})
    assert problem == Rebuilt(network).asked(order.order.request, order.sent_at)


def test_a_choice_is_real_when_neither_plan_is_better_in_both() -> None:
    """Cheaper and later against dearer and sooner; anything else is no choice."""

    def asked(earliest_minor: int, earliest_days: int) -> bool:
        return Choice(
            number=0, cheapest_minor=100, earliest_minor=earliest_minor,
            cheapest_line_days=10, earliest_line_days=earliest_days,
        ).is_real  # fmt: skip

    assert asked(150, 6)
    assert not asked(100, 6)
    assert not asked(150, 10)
    assert not asked(100, 10)


def test_the_earliest_plan_is_never_later_nor_the_cheapest_dearer(
    network: DemoNetwork, replayed: Replay
) -> None:
    """The two ends of a choice are found by changing one price of the same problem."""
    for each, problem in problems(network, replayed, set(range(12))):
        found = choice(each.order, problem)
        assert found.earliest_line_days <= found.cheapest_line_days
        assert found.cheapest_minor <= found.earliest_minor


def test_percentiles_are_values_that_were_measured() -> None:
    """Nearest rank: no interpolation between two calls that nobody made."""
    found = latency([float(value) for value in range(1, 101)])
    assert (found.p50_ms, found.p90_ms, found.p99_ms, found.max_ms) == (50, 90, 99, 100)
    assert latency([7.0]) == latency([7.0, 7.0, 7.0])
    assert latency([]).max_ms == 0


def test_oversold_units_and_differences_are_said_loudly(
    network: DemoNetwork, replayed: Replay
) -> None:
    """The one figure that must not be overlooked."""
    audited = Audited(3, ["sku=1 node_id=2: movements sum to 1 and the record says 2 on_hand"])
    found = summarize(network, replayed, [], [], audited, concurrency=1)
    figure = words.checked_figure(found)
    assert figure.tone == "bad"
    assert figure.value == "3"
    assert "1 differences" in figure.label
    assert audited.differences[0] in unescape(page.render(network, found))
