"""Objects, their dependencies and their place in LMDB; system relations."""
