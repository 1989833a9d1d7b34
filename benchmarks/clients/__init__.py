"""Laminar beside PostgreSQL 15, driven by PostgreSQL's own clients."""
