"""PostgreSQL's wire protocol: a state machine without policy."""
