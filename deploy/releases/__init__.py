"""A site's releases: records, Compose projects, environment, the Django project, static sites."""
