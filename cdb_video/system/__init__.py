"""Files, locks, threads, memory, downloads, signals: what knows nothing of video."""
