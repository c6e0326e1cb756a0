"""The tasks that a user runs, on one server or several."""
