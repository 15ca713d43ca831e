"""Lists: records of clips, splits of them, and videos named on a command line. Imports no torch."""
