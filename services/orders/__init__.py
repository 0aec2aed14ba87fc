"""Allocations: from a basket to a plan with held stock, and what happens to it afterwards."""
