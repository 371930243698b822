"""What a reader sees: figures, the anatomy of a network, progress, the report of a run."""
