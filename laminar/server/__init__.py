"""The server process: sessions, statements, start and stop."""
