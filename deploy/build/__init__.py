"""What goes into an image: the project's files, the image, and the engine that builds it."""
