"""Ways of retraining a classifier, one a file."""
