"""The demonstration: a real grocer's year as a network, its baskets as orders, and a report."""
