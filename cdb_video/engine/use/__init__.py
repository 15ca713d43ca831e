"""Use: a trained model on any video."""
