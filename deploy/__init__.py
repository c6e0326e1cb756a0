"""Portside: a Django site on a plain Linux server you own."""
