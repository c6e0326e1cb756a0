"""``fab doctor``: problems on this machine and on the server, each with its fix."""
