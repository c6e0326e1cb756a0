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
        """Show the work, at the address that its present title gives."""
        self.object = self.get_object()
        if kwargs["slug"] != self.object.slug:
            return redirect(self.object)
        return self.render_to_response(self.get_context_data())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the neighbours, in the order of the gallery."""
        return super().get_context_data(
            newer=_neighbour(self.object.get_next_by_created),
            older=_neighbour(self.object.get_previous_by_created),
            **kwargs,
        )


class About(TemplateView):
    """Who makes these, and how to reach them."""

    template_name = "portfolio/about.html"


def favicon(request: HttpRequest) -> HttpResponse:
    """Lead browsers that ask for the icon by its old name to the real one."""
    return redirect(static("favicon.svg"))


def _neighbour(find: Callable[[], Work]) -> Work | None:
    """Return the work that Django's get_next_by and get_previous_by find, if there is one."""
    try:
        return find()
    except Work.DoesNotExist:
        return None
