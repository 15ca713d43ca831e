"""The files that runs and predictions write, and the rows in them."""
