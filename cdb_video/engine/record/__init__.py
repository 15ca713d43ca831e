"""Record: what a run tells as it goes, and what it costs."""
