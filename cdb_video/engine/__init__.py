"""The engine: where data, models, losses and metrics meet."""
