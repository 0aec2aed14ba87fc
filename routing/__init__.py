"""Which nodes fulfill which lines of an order, at what cost, by when. Pure: no I/O, no clock."""
