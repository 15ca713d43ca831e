"""Pages and tables made from the files that a run leaves in its OUTPUT_DIR."""
