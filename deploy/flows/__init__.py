"""What a task does: its stages, the run they share, and recovery after a failure."""
