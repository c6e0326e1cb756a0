"""Asks an application that speaks uwsgi on a port of this machine, as curl asks one that speaks HTTP.

uwsgi.py PORT HOST PATH SCHEME HEAD BODY
Prints the answer's status, 000 where there is none; HEAD and BODY: the files for the answer's two parts.
https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html
"""

import socket
import struct
import sys
import time

SECONDS = 15


def variables(host, path, scheme):
    path, _, query = path.partition("?")
    given = {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": f"{path}?{query}" if query else path,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": host,
        "HTTP_X_FORWARDED_PROTO": scheme,
        "HTTP_USER_AGENT": "Portside",
        "HTTP_CONNECTION": "close",
    }
    return given | ({"HTTPS": "on"} if scheme == "https" else {})


def packet(given):
    """A request of modifier 0, which is WSGI: each name and each value after its length."""
    words = [word.encode() for pair in given.items() for word in pair]
    block = b"".join(struct.pack("<H", len(word)) + word for word in words)
    return struct.pack("<BHB", 0, len(block), 0) + block


def ask(port, request):
    """All that comes back until the other side closes. Raises OSError where nobody answers in time."""
    limit, parts = time.monotonic() + SECONDS, []
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.sendall(request)
        while part := connection.recv(65536):
            parts.append(part)
            connection.settimeout(max(limit - time.monotonic(), 0.001))
    return b"".join(parts)


def main(port, host, path, scheme, head_file, body_file):
    try:
        answer = ask(int(port), packet(variables(host, path, scheme)))
    except OSError:
        answer = b""
    head, _, body = answer.partition(b"\r\n\r\n")
    with open(head_file, "wb") as head_stream, open(body_file, "wb") as body_stream:
        head_stream.write(head + b"\r\n")
        body_stream.write(body)
    words = head.split(None, 2)
    print(words[1].decode() if len(words) > 1 and words[0].startswith(b"HTTP/") else "000")


main(*sys.argv[1:])
