"""Laminar: a streaming database that speaks PostgreSQL's wire protocol."""

__version__ = "0.1.0"
