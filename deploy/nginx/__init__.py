"""Nginx's files: routes and templates in, one generation out."""
