"""Records: logs, boards and costs of a run."""
