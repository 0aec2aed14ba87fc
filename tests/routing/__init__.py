"""Tests of routing: the optimum, the judge, dates, limits and explanations."""
