"""Uses a trained model on any video."""
