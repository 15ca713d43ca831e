"""Ways of grouping classes by their size, one a file."""
