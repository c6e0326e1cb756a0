"""Certificates: ordered, proved, renewed."""
