"""Real servers for tests, and the runner of SQL test files."""
