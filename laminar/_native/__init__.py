"""Cython kernels: rows, state tables, rings, WAL framing, wire codecs."""
