"""What the judge says of a plan that is not right."""

import msgspec


class Violation(msgspec.Struct, frozen=True):
    """A rule a plan breaks, and where."""

    rule: str
    message: str
