"""Everything with an outside: HTTP, orders, master data, feeds, workers and the command line."""

__version__ = "0.1.0"
