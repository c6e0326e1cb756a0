"""The studio: where works are added."""

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from .models import Work

admin.site.site_header = "Half Light"
admin.site.site_title = "Half Light"
admin.site.index_title = "Studio"


@admin.register(Work)
class WorkAdmin(admin.ModelAdmin):
    """Works, with their pictures in the list."""

    list_display = ["picture", "title", "technique", "year", "created"]
    list_display_links = ["picture", "title"]
    search_fields = ["title", "text", "technique"]
    list_per_page = 50
    fields = ["title", "image", "alt", "text", "year", "technique"]
    readonly_fields = ["picture"]

    class Media:
        css = {"all": ["portfolio-admin.css"]}

    def get_fields(self, request: HttpRequest, obj: Work | None = None) -> list[str]:
        """Show the picture above the form, once there is one."""
        return ["picture", *self.fields] if obj else self.fields

    @admin.display(description="picture")
    def picture(self, work: Work) -> SafeString | str:
        """Show the thumbnail."""
        if not work.thumbnail:
            return ""
        return format_html(
            '<img class="work-picture" src="{}" width="{}" height="{}" alt="{}" loading="lazy">',
            work.thumbnail.url,
            work.width,
            work.height,
            work.description,
        )
