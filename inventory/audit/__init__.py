"""The audit: whether the records agree, by code and SQL that share nothing with what they check."""

from inventory.audit.checks import Difference, Oversold, audit, oversold

__all__ = ["Difference", "Oversold", "audit", "oversold"]
