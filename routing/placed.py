"""A plan that was made, as units of the slots of an instance."""

from datetime import date

from routing.bundles import as_units
from routing.instance import Assignment, Instance
from routing.plan import Plan

__all__ = ["Parts", "Place", "assignment_of", "units_of"]

Place = tuple[str, str | None, str | None, date]
"""Node id, pickup node (none for `ship`), service (none for `pickup`) and work date."""

Parts = dict[Place, dict[str, int]]
"""Units of skus by place, then by line id."""


def assignment_of(instance: Instance, plan: Plan) -> Assignment:
    """The plan as units by slot and line. Raises `ValueError` for a slot that is not there."""
    parts: Parts = {}
    for f in plan.fulfillments:
        taken = parts.setdefault((f.node_id, f.pickup_node, f.service, f.work_on), {})
        for part in f.lines:
            taken[part.line_id] = taken.get(part.line_id, 0) + part.quantity
    return units_of(instance, parts)


def units_of(instance: Instance, parts: Parts) -> Assignment:
    """Parts as units by slot and line. Raises `ValueError` for a slot that is not there."""
    slots = {
        (slot.node.node_id, slot.pickup_node, slot.service, slot.work_on): k
        for k, slot in enumerate(instance.slots)
    }
    units: Assignment = {}
    for place, taken in parts.items():
        if place not in slots:
            node_id, _, service, work_on = place
            raise ValueError(f"nothing offers {service or 'pickup'} from {node_id} on {work_on}")
        units[slots[place]] = {
            i: as_units(bundle, taken)
            for i, bundle in enumerate(instance.lines)
            if bundle.line_id in taken
        }
    return units
