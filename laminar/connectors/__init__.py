"""Sources and sinks, one module each."""
