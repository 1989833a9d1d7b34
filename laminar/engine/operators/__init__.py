"""Stateful and linear operators, one file each."""
