"""Every address of the site."""

from django.conf import settings
from django.conf.urls.static import static
from django.contrib import admin
from django.urls import include, path
from portfolio import api, health, views
from rest_framework.routers import SimpleRouter

router = SimpleRouter()
router.register("works", api.WorkViewSet, basename="api-work")

urlpatterns = [
    path("", views.Gallery.as_view(), name="gallery"),
    path("works/<int:pk>-<slug:slug>/", views.WorkPage.as_view(), name="work"),
    path("about/", views.About.as_view(), name="about"),
    path("favicon.ico", views.favicon),
    path("healthz", health.healthz, name="healthz"),
    path("api/", include(router.urls)),
    path("admin/", admin.site.urls),
    *static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT),
]
