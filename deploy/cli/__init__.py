"""The tasks as a user runs them: on one server or several."""
