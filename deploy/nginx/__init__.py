"""Nginx's files: turns routes and templates into one generation."""
