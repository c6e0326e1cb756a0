"""The public pages."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.templatetags.static import static
from django.views.generic import DetailView, ListView, TemplateView

from .models import Work


class Gallery(ListView):
    """All works, newest first."""

    model = Work
    paginate_by = 24
    context_object_name = "works"
    template_name = "portfolio/gallery.html"


class WorkPage(DetailView):
    """One work."""

    model = Work
    template_name = "portfolio/work.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show the work. Redirects to the address with its current title."""
        self.object = self.get_object()
        if kwargs["slug"] != self.object.slug:
            return redirect(self.object)
        return self.render_to_response(self.get_context_data())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the previous and next works, in the order of the gallery."""
        return super().get_context_data(
            newer=_neighbour(self.object.get_next_by_created),
            older=_neighbour(self.object.get_previous_by_created),
            **kwargs,
        )


class About(TemplateView):
    """The page about the artists, with contact details."""

    template_name = "portfolio/about.html"


def favicon(request: HttpRequest) -> HttpResponse:
    """Redirect /favicon.ico to the real icon."""
    return redirect(static("favicon.svg"))


def _neighbour(find: Callable[[], Work]) -> Work | None:
    """Return the work that Django's get_next_by and get_previous_by find, if there is one."""
    try:
        return find()
    except Work.DoesNotExist:
        return None
