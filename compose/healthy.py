"""A web container's own health check: Gunicorn answers on its socket, so a worker of it works.

Gunicorn's settings answer this path before the application: no page, no database and no log has to do with it. Nginx
serves nobody below /_portside/ from here.
"""

import os
import socket
import struct
import sys

PATH = "/_portside/alive"
WITHIN = 4
"""Seconds, below the limit that Docker gives."""


def http():
    return f"GET {PATH} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()


def uwsgi():
    """https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html"""
    names = {"REQUEST_METHOD": "GET", "PATH_INFO": PATH, "REQUEST_URI": PATH, "QUERY_STRING": ""}
    names |= {"SERVER_PROTOCOL": "HTTP/1.0", "HTTP_HOST": "localhost"}
    words = [word.encode() for pair in names.items() for word in pair]
    block = b"".join(struct.pack("<H", len(word)) + word for word in words)
    return struct.pack("<BHB", 0, len(block), 0) + block


def answered(path, request):
    """Whether anything of an HTTP answer comes in time. Raises OSError where nobody listens."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(WITHIN)
        connection.connect(path)
        connection.sendall(request)
        return connection.recv(5) == b"HTTP/"


if __name__ == "__main__":
    wanted = uwsgi() if os.environ["PORTSIDE_PROTOCOL"] == "uwsgi" else http()
    sys.exit(not answered(os.environ["PORTSIDE_SOCKET"], wanted))
