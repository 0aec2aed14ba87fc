"""Taking units from work because we know that its node cannot do it, not because it said so."""

from collections.abc import Callable

import asyncpg

from services.fulfillment.corrections import Said
from services.fulfillment.events import Units
from services.fulfillment.giving_up import Proposal, give_up, plan
from services.fulfillment.moves import LostRaceError, Means
from services.fulfillment.reasons import Reason
from services.fulfillment.records import Work
from services.fulfillment.steps import lock
from services.fulfillment.tables import LIVE_STATES

Fits = Callable[[Proposal], bool]
"""Whether a plan is good enough to leave the node for it."""


def said(units: Units, reason: str, actor: str) -> Said:
    """Return a reason of our own, which corrects nothing and leaves nobody out."""
    return Said(reasons=dict.fromkeys(units, Reason(reason=reason)), actor=actor)


def places_all(proposal: Proposal) -> bool:
    """Tell whether a plan has a place for every unit."""
    wanted = sum(proposal.units.values())
    return proposal.found is not None and proposal.found.units == wanted


def keeps_promise(proposal: Proposal) -> bool:
    """Tell whether a plan has a place for every unit, and none is late."""
    found = proposal.found
    return places_all(proposal) and found is not None and not found.late_days


def is_anything(_: Proposal) -> bool:
    """Tell that the units have to leave in any case; those without a place are queued."""
    return True


async def withdraw(
    means: Means,
    work: Work,
    units: Units,
    why: Said,
    fits: Fits,
) -> Proposal | None:
    """Give units of some work to others if a plan fits; return the plan that was found, unfitting.

    None when they have been moved, or the work has changed meanwhile: then look at it again.
    """
    for _ in range(means.settings.resource_tries):
        proposal = await plan(means, work, units)
        if not fits(proposal):
            return proposal

        async def move(
            connection: asyncpg.Connection,
            work: Work = work,
            proposal: Proposal = proposal,
        ) -> None:
            now = await lock(connection, work.order.fulfillment_order_id)
            if now.order.version == work.order.version and now.order.state in LIVE_STATES:
                await give_up(connection, means, now, units, why, proposal)

        try:
            await means.database.run(move)
        except LostRaceError:
            continue
        return None
    return None
