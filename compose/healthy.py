"""A web container's own health check: Gunicorn answers on its socket, so a worker is running.

Gunicorn's settings answer this path before the application, without a page, the database or a log line. Visitors can't
reach /_portside/ through Nginx.
"""

import os
import socket
import struct
import sys

PATH = "/_portside/alive"
WITHIN = 4
"""Seconds, less than Docker's own limit."""


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
    """Whether an HTTP response begins in time. Raises OSError if nothing listens."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(WITHIN)
        connection.connect(path)
        connection.sendall(request)
        return connection.recv(5) == b"HTTP/"


if __name__ == "__main__":
    wanted = uwsgi() if os.environ["PORTSIDE_PROTOCOL"] == "uwsgi" else http()
    sys.exit(not answered(os.environ["PORTSIDE_SOCKET"], wanted))
