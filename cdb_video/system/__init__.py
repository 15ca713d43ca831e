"""Files, locks, threads, memory, downloads, signals. Knows nothing of video."""
