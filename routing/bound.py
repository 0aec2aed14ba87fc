"""What the search proves about an instance."""

import msgspec

__all__ = ["Bound"]


class Bound(msgspec.Struct, frozen=True):
    """Lower bounds on the objective, over all assignments and over those that open each slot."""

    bound_minor: int
    """No assignment has a smaller objective."""
    least_minor: tuple[int, ...]
    """By slot: no assignment that opens it has a smaller objective."""

    def slots_below(self, objective_minor: int) -> tuple[int, ...]:
        """The only slots that an assignment cheaper than `objective_minor` can open."""
        return tuple(k for k, least in enumerate(self.least_minor) if least < objective_minor)
