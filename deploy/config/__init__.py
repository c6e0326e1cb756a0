"""Settings: read from ``.env``, typed, checked against each other."""
