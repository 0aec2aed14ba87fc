"""Goods that come back, exchanges for them, and orders that change after they were confirmed."""
