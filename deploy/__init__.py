"""Portside: a Django site on a plain Linux server you own."""

import gc

VERSION = "0.1.0"
"""The server keeps the newest that has worked on it: see versions.py."""

# What is imported stays. To look through all of it for garbage, time and again, was a seventh of fab's start.
gc.freeze()
