"""SQL text to typed logical plan, and from there to stream plans and DataFusion."""
