"""The connection to a server, and the data sent over it."""
