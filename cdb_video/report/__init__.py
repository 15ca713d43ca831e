"""Pages and tables made from the files in OUTPUT_DIR."""
