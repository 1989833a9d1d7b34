"""The laminar command."""
