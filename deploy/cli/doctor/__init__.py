"""``fab doctor``: find problems on this machine and on the server, and suggest a fix for each."""
