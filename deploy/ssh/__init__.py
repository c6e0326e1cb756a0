"""The connection to a server, and what travels over it."""
