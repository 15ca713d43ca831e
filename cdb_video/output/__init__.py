"""What runs and predictions leave: which files, and what their lines are."""
