"""Build: options become parts of a run. Nothing below reads the options."""
