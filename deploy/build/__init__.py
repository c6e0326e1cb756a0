"""Builds images: the project's files, the image's recipe, and the Docker engine."""
