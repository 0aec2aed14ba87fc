"""Prices beyond one order: learned from what nodes do and sell, and weighed by every decision."""
