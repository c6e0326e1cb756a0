"""Portside: a Django site on a plain Linux server you own."""

import gc

# What is imported stays. To look through all of it for garbage, time and again, was a seventh of fab's start.
gc.freeze()
