"""Check what a certificate authority will check: where names point, which server answers there, what CAA allows.

names.py ACME_ROOT TOKEN DIRECTORY NAME...      TOKEN: empty if it doesn't matter where the names point
Prints JSON: the authority's part of its directory; of each name its addresses (each with a fault, or empty) and who may
issue for it. Runs with the server's own Python and needs nothing else.
"""

import http.client
import ipaddress
import json
import os
import secrets
import socket
import ssl
import struct
import sys
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

SECONDS = 6
ACCOUNTS = "/etc/letsencrypt/accounts"
CHALLENGES = "/.well-known/acme-challenge/"
CAA = 257


def leave(root, token):
    """Write the token where the authority's challenges are answered."""
    os.umask(0o022)
    folder = root + CHALLENGES
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "portside")
    with open(path + ".new", "w") as stream:
        stream.write(token)
    os.replace(path + ".new", path)


def authority(directory):
    """Return what an ACME directory says about its authority."""
    context = ssl.create_default_context()
    ca = os.path.join(os.environ["PORTSIDE_FILES"], "ca.pem")
    if os.path.exists(ca):
        context.load_verify_locations(ca)
    try:
        with urllib.request.urlopen(directory, timeout=20, context=context) as answer:  # noqa: S310 - settings.py requires https
            meta = json.load(answer).get("meta") or {}
    except (OSError, ValueError) as error:
        return {"error": str(getattr(error, "reason", error))}
    where = urllib.parse.urlsplit(directory)
    known = os.path.join(ACCOUNTS, where.netloc, where.path.lstrip("/"))
    registered = os.path.isdir(known) and bool(os.listdir(known))
    external = bool(meta.get("externalAccountRequired")) and not registered
    return {"error": "", "identities": meta.get("caaIdentities") or [], "external": external}


def look(name, token):
    """Return where a name points and who may issue for it."""
    if not token:
        return {"addresses": None, "caa": allowed(name)}
    with ThreadPoolExecutor() as pool:
        caa = pool.submit(allowed, name)
        addresses = addresses_of(name)
        faults = pool.map(lambda address: fault(address, name, token), addresses)
        return {"addresses": dict(zip(addresses, faults, strict=True)), "caa": caa.result()}


def addresses_of(name):
    if name.endswith(".localhost"):  # always this machine (RFC 6761)
        return ["127.0.0.1"]
    try:
        found = socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return list(dict.fromkeys(address[0] for *_, address in found))


def fault(address, name, token, port=80):
    """Return why the token isn't found at an address, or an empty string."""
    connection = http.client.HTTPConnection(address, port, timeout=SECONDS)
    try:
        connection.request("GET", CHALLENGES + "portside", headers={"Host": name})
        answer = connection.getresponse()
        body = answer.read(200).decode(errors="replace").strip()
    except http.client.HTTPException:
        return "something other than a web server answers there"
    except OSError as error:
        return f"port {port} doesn't answer there: " + (error.strerror or str(error) or "no answer").lower()
    finally:
        connection.close()
    return "" if body == token else f"another server answers there ({answer.status})"


def allowed(name):
    """Return who may issue for a name, by the CAA records there or above. None if there are none."""
    labels = name.removeprefix("*.").split(".")
    for number in range(len(labels)):
        found = caa_of(".".join(labels[number:]))
        if found is not None:
            return issuers(found, wildcard=name.startswith("*."))
    return None


def issuers(records, wildcard):
    """Return who may issue by these CAA records. None if none of them restricts that (RFC 8659, 4.2 and 4.3)."""
    wild = [value for tag, value in records if tag == "issuewild"]
    plain = [value for tag, value in records if tag == "issue"]
    return (wild if wildcard and wild else plain) or None


def caa_of(name):
    """Return the CAA records at a name, as (tag, value). None if there are none, or no name server answers."""
    question = b"".join(struct.pack("B", len(label)) + label.encode() for label in name.split(".")) + b"\0"
    query = struct.pack("!6H", secrets.randbelow(65536), 0x0100, 1, 0, 0, 0) + question + struct.pack("!2H", CAA, 1)
    for server in nameservers():
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as asking:
                asking.settimeout(3)
                asking.connect((server, 53))
                asking.send(query)
                return records_in(asking.recv(4096), len(query))
        except (OSError, ValueError, IndexError, struct.error):
            continue
    return None


def nameservers():
    with open("/etc/resolv.conf") as stream:
        lines = [line.split() for line in stream]
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver" and is_address(words[1])]


def is_address(text):
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def records_in(answer, place):
    """Return the CAA records in an answer whose question ends at ``place``. None if there are none."""
    (count,) = struct.unpack_from("!H", answer, 6)
    found = None
    for _ in range(count):
        while answer[place] and answer[place] < 0xC0:
            place += answer[place] + 1
        place += 2 if answer[place] else 1
        kind, _, _, length = struct.unpack_from("!2HIH", answer, place)
        place += 10
        data = answer[place : place + length]
        place += length
        if kind == CAA:
            found = found or []
            end = 2 + data[1]
            value = data[end:].decode(errors="replace").partition(";")[0].strip().lower()
            found.append((data[2:end].decode(errors="replace").lower(), value))
    return found


def main(root, token, directory, *names):
    if token:
        leave(root, token)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(authority, directory)
        looked = dict(zip(names, pool.map(lambda name: look(name, token), names), strict=True))
        print(json.dumps({"authority": asked.result(), "names": looked}))


if __name__ == "__main__":
    main(*sys.argv[1:])
