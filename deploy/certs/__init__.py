"""Certificates: requests, checks and renews them."""
