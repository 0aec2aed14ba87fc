"""Goods on the floor of a node: counts while selling, receipts, transfers between nodes."""
