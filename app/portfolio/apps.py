"""The application's registration."""

from django.apps import AppConfig


class PortfolioConfig(AppConfig):
    """A portfolio of works."""

    name = "portfolio"
