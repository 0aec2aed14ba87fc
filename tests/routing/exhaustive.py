"""Exhaustive search: every way to hand every unit to every fulfillment, with its own prices.

It shares no code with routing, nor do the fulfillments it chooses from (`exhaustive_options.py`).
A branch is left only when what it has cost already, plus the least its open lines can cost, reaches
the ceiling: adding units never lowers a price, so nothing cheaper is missed.
"""

from collections import Counter
from datetime import date
from zoneinfo import ZoneInfo

from routing.problem import Goal, Line, Problem, Stock
from tests.routing.exhaustive_options import Option, counted, disliked, options, parcels


class Search:
    """Depth first over lines and, within a line, over options."""

    def __init__(self, problem: Problem, ceiling: int, *, every_date: bool = False) -> None:
        self.problem, self.policy, self.best = problem, problem.policy, ceiling
        self.options = options(problem, every_date=every_date)
        self.stock: dict[tuple[str, str], Stock] = {(s.node_id, s.sku): s for s in problem.stock}
        zone = ZoneInfo(problem.destination_time_zone)
        self.ordered_on = problem.now.astimezone(zone).date()
        self.weight: Counter[int] = Counter()
        self.units: Counter[int] = Counter()
        self.given: Counter[tuple[int, int]] = Counter()
        self.drawn: dict[tuple[str, str], Counter[date]] = {}
        self.lines = sorted(problem.lines, key=lambda line: -line.quantity)
        self.takes = [
            [(each.sku, each.quantity) for each in line.components] or [(line.sku, 1)]
            for line in self.lines
        ]
        self.able = [self._able(i) for i in range(len(self.lines))]
        groups = {line.together for line in self.lines} - {None}
        self.jobs = [[i] for i, line in enumerate(self.lines) if line.together is None]
        self.jobs += [
            [i for i, line in enumerate(self.lines) if line.together == group]
            for group in sorted(map(str, groups))
        ]
        least = [sum(self._least(i) for i in job) for job in self.jobs]
        self.floor = [sum(least[j:]) for j in range(len(self.jobs) + 1)]

    def run(self) -> int:
        """The smallest objective below the ceiling, else the ceiling."""
        nothing = self.policy.shortage_minor * sum(line.quantity for line in self.lines)
        self.best = min(self.best, nothing)
        self._job(0, 0)
        return self.best

    def _able(self, i: int) -> list[tuple[int, int]]:
        """(option, price of the line waiting for it) for every option the line may use."""
        line, able = self.lines[i], []
        for k, option in enumerate(self.options):
            there = all(
                self._there(option.node.node_id, sku, option.start_on) >= count
                for sku, count in self.takes[i]
            )
            if there and self._fits(line, option):
                able.append((k, self._waiting(i, option)))
        return able

    def _fits(self, line: Line, option: Option) -> bool:
        """Whether the option's method, place and nodes will do for a line."""
        way = "ship" if option.collected_at is None else "ship_to_store"
        method = way if option.lane else "pickup"
        here = option.collected_at in (None, line.pickup_node)
        able = {method, *line.requires} <= set(option.node.capabilities)
        if method == "ship_to_store":
            store = next(n for n in self.problem.nodes if n.node_id == option.collected_at)
            able = able and {"pickup", *line.requires} <= set(store.capabilities)
        in_time = line.promised_by is None or option.latest <= line.promised_by
        return method in line.methods and here and able and in_time

    def _waiting(self, i: int, option: Option) -> int:
        requested_by = self.lines[i].requested_by
        late = (option.latest - requested_by).days if requested_by else 0
        waited = (option.latest - self.ordered_on).days
        return self.policy.lateness_minor * max(0, late) + self.policy.delay_minor * max(0, waited)

    def _least(self, i: int) -> int:
        units, short = self.lines[i].quantity, self.policy.shortage_minor
        if not self.able[i]:
            return units * short
        unit = min(self._unit(i, k) for k, _ in self.able[i])
        return min(units * short, units * min(short, unit) + min(time for _, time in self.able[i]))

    def _unit(self, i: int, k: int) -> int:
        """Price of a unit in an option: handling, emissions, what it is worth there, the risk."""
        node, lane = self.options[k].node, self.options[k].lane
        emitted = counted(self.lines[i]) * lane.co2_grams_per_kg if lane else 0
        price = emitted * self.policy.co2_minor_per_kg // 1_000_000
        for sku, count in self.takes[i]:
            stock = self.stock[node.node_id, sku]
            price += count * (stock.worth_minor + stock.risk_minor)
            price += count * sum(each.handling_unit_minor for each in self.options[k].hands)
        return price

    def _there(self, node_id: str, sku: str, day: date) -> int:
        stock = self.stock.get((node_id, sku))
        if stock is None:
            return 0
        later = [s.quantity for s in stock.supply if s.available_on <= day]
        return stock.available + (sum(later) if self.policy.backorder else 0)

    def _job(self, j: int, price: int) -> None:
        if price + self.floor[j] >= self.best:
            return
        if self.policy.goals:
            missing = self._missing()
            if missing is None or price + missing + self.floor[j] >= self.best:
                return
        if j == len(self.jobs):
            self.best = price + (self._missing() or 0)
            return
        job = self.jobs[j]
        if self.lines[job[0]].together is not None:
            self._group(j, price)
        else:
            self._option(j, (0, frozenset()), self.lines[job[0]].quantity, price, 0)

    def _group(self, j: int, price: int) -> None:
        """Give all lines of a group to one option, or none of them to any."""
        job = self.jobs[j]
        units = sum(self.lines[i].quantity for i in job)
        if not self.policy.ship_complete:
            self._job(j + 1, price + units * self.policy.shortage_minor)
        able = [dict(self.able[i]) for i in job]
        for k in range(len(self.options)):
            if all(k in times for times in able):
                added = [self._add(i, k, self.lines[i].quantity) for i in job]
                waiting = sum(times[k] for times in able)
                if None not in added:
                    self._job(j + 1, price + waiting + sum(each or 0 for each in added))
                for i in job:
                    self._undo(i, k, self.lines[i].quantity)

    def _option(
        self, j: int, at: tuple[int, frozenset[str]], left: int, price: int, waiting: int
    ) -> None:
        """Give the line's remaining units to its options from a place on, the rest is short."""
        i, (place, nodes) = self.jobs[j][0], at
        if price + waiting + self.floor[j + 1] >= self.best:
            return
        if left == 0 or place == len(self.able[i]):
            if left and self.policy.ship_complete:
                return
            self._job(j + 1, price + waiting + left * self.policy.shortage_minor)
            return
        self._option(j, (place + 1, nodes), left, price, waiting)
        k, time = self.able[i][place]
        nodes |= {self.options[k].node.node_id}
        if len(nodes) > (self.policy.nodes_per_line_max or len(nodes)):
            return
        for units in range(1, left + 1):
            added = self._add(i, k, units)
            if added is not None:
                longer = max(waiting, time)
                self._option(j, (place + 1, nodes), left - units, price + added, longer)
            self._undo(i, k, units)

    def _add(self, i: int, k: int, units: int) -> int | None:
        """Put units into an option; what that adds to the price, none where it breaks a rule."""
        line, option = self.lines[i], self.options[k]
        before = self._price(k)
        keys = [(option.node.node_id, sku) for sku, _ in self.takes[i]]
        self.weight[k] += units * counted(line)
        self.given[k, i] += units
        for key, (_, count) in zip(keys, self.takes[i], strict=True):
            self.units[k] += units * count
            self.drawn.setdefault(key, Counter())[option.start_on] += units * count
        there = all(self._in_stock(key) for key in keys)
        if not (there and self._in_capacity(option) and self._in_shipments()):
            return None
        return self._price(k) - before + units * self._unit(i, k)

    def _undo(self, i: int, k: int, units: int) -> None:
        line, option = self.lines[i], self.options[k]
        self.weight[k] -= units * counted(line)
        self.given[k, i] -= units
        for sku, count in self.takes[i]:
            self.units[k] -= units * count
            self.drawn[option.node.node_id, sku][option.start_on] -= units * count

    def _price(self, k: int) -> int:
        """What an option costs as it is filled now, with its split, its units aside."""
        if not self.units[k]:
            return 0
        option, opened = self.options[k], sum(1 for units in self.units.values() if units)
        opening = option.node.surcharge_minor + disliked(self.policy, option)
        opening += sum(each.handling_order_minor for each in option.hands)
        split = self.policy.split_minor if opened > 1 else 0
        return parcels(option.brackets, self.weight[k]) + opening + split

    def _in_stock(self, key: tuple[str, str]) -> bool:
        drawn = self.drawn[key]
        return all(
            sum(units for start, units in drawn.items() if start <= day) <= self._there(*key, day)
            for day, used in drawn.items()
            if used
        )

    def _in_capacity(self, changed: Option) -> bool:
        for limit in changed.node.capacity:
            used = [
                self.units[k]
                for k, option in enumerate(self.options)
                if option.node is changed.node and option.work_on == limit.work_on and self.units[k]
            ]
            if (len(used) if limit.unit == "orders" else sum(used)) > limit.remaining:
                return False
        return True

    def _missing(self) -> int | None:
        """What goals cost that are missed so far, none where one is beyond its limit.

        More units never make any of them less.
        """
        total = 0
        for goal in self.policy.goals:
            came_to = self._came_to(goal)
            if goal.limit is not None and came_to > goal.limit:
                return None
            total += max(0, came_to - goal.target) * goal.minor // goal.per
        return total

    def _came_to(self, goal: Goal) -> int:
        """What the options filled now come to."""
        filled = [(k, self.options[k]) for k, units in self.units.items() if units]
        handling = sum(
            each.handling_order_minor + self.units[k] * each.handling_unit_minor
            for k, o in filled
            for each in o.hands
        )
        paid = sum(parcels(o.brackets, self.weight[k]) for k, o in filled)
        late = [self._late(i, filled) for i in range(len(self.lines))]
        money = handling + paid + self.policy.split_minor * max(0, len(filled) - 1)
        door = [o.node.distance_km or 0 for _, o in filled if o.lane and not o.collected_at]
        groups = set(goal.names)
        return {
            "cost_minor": money + self.policy.lateness_minor * sum(late),
            "parcels_minor": paid,
            "handling_minor": handling,
            "delivery_days": max([0, *((o.latest - self.ordered_on).days for _, o in filled)]),
            "late_days": sum(late),
            "fulfillments": len(filled),
            "shipments": sum(o.lane is not None for _, o in filled),
            "distance_km": sum(door),
            "co2_grams": sum(o.lane.co2_grams for _, o in filled if o.lane) + self._by_weight(),
            "group_units": sum(self.units[k] for k, o in filled if groups & set(o.node.groups)),
        }[goal.measure]

    def _late(self, i: int, filled: list[tuple[int, Option]]) -> int:
        wanted = self.lines[i].requested_by
        days = [o.latest for k, o in filled if self.given[k, i]]
        return max(0, (max(days) - wanted).days) if days and wanted else 0

    def _by_weight(self) -> int:
        """Emissions of the units in all options, whole grams of each."""
        total = 0
        for (k, i), units in self.given.items():
            lane = self.options[k].lane
            if lane:
                total += units * (counted(self.lines[i]) * lane.co2_grams_per_kg // 1000)
        return total

    def _in_shipments(self) -> bool:
        shipments = sum(1 for k, units in self.units.items() if units and self.options[k].lane)
        most = self.policy.shipments_max
        return most is None or shipments <= most


def cheapest(problem: Problem, ceiling: int, *, every_date: bool = False) -> int:
    """The optimum's objective where it is below `ceiling`, else `ceiling`."""
    return Search(problem, ceiling, every_date=every_date).run()
