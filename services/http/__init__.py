"""The HTTP API, one file per audience."""
