"""The incremental engine: reactors, epochs, state, WAL, checkpoints, serving store."""
