"""The log of everything that happened: events in one order that never changes, read from a cursor."""
