"""Check that Nginx on this machine serves a certificate for each name by HTTPS.

prove.py CERTIFICATE NAME...
A reload returns before its workers serve, so the check is repeated for a while.
"""

import socket
import ssl
import sys
import time

SECONDS = 15


def first(path):
    """Return the first certificate of a file."""
    with open(path) as stream:
        text = stream.read()
    return ssl.PEM_cert_to_DER_cert(text[: text.index("-----END CERTIFICATE-----") + 25] + "\n")


def shown(name):
    """Return the certificate that Nginx serves for a name. Who issued it doesn't matter here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", 443), 5) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        return secure.getpeercert(binary_form=True)


def fault(name, wanted):
    try:
        return "" if shown(name) == wanted else "another certificate"
    except OSError as error:
        return str(error)


def main(path, *names):
    wanted, limit = first(path), time.monotonic() + SECONDS
    for name in names:
        while why := fault(name, wanted):
            if time.monotonic() > limit:
                sys.exit(f"{name}: {why}")
            time.sleep(0.1)


main(*sys.argv[1:])
