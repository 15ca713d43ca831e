"""Weight files: where they come from, how they are read, and what of them fits a model."""
