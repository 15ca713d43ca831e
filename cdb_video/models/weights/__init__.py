"""Weight files: finding, reading and loading them."""
