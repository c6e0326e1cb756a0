"""A request in the uwsgi protocol: the equivalent of an HTTP request by curl or visit.py.

https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html
"""

import struct


def request(host, target, scheme, headers):
    """Return a GET request of modifier 0, which is WSGI: each name and value follows its length."""
    words = [word.encode("latin-1") for pair in variables(host, target, scheme, headers).items() for word in pair]
    block = b"".join(struct.pack("<H", len(word)) + word for word in words)
    return struct.pack("<BHB", 0, len(block), 0) + block


def variables(host, target, scheme, headers):
    path, _, query = target.partition("?")
    given = {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": target,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": host,
        "HTTP_USER_AGENT": "Portside",
        "HTTP_ACCEPT": "*/*",
        "HTTP_CONNECTION": "close",
    }
    given |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items() if value}
    return given | ({"HTTPS": "on"} if scheme == "https" else {})
