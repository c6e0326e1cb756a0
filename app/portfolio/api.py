"""The JSON API: everyone can read, only staff can write."""

from rest_framework import mixins, serializers, viewsets
from rest_framework.permissions import SAFE_METHODS, BasePermission, IsAdminUser
from rest_framework.request import Request

from .models import Work


class WorkSerializer(serializers.ModelSerializer):
    """A work as JSON. `url` is its address in the API, `page` that of its page."""

    url = serializers.HyperlinkedIdentityField(view_name="api-work-detail")
    page = serializers.SerializerMethodField()

    class Meta:
        model = Work
        fields = [
            "id",
            "url",
            "page",
            "title",
            "text",
            "year",
            "technique",
            "alt",
            "image",
            "thumbnail",
            "width",
            "height",
            "created",
        ]
        read_only_fields = ["thumbnail", "width", "height", "created"]

    def get_page(self, work: Work) -> str:
        """Return the full address of the work's page."""
        return self.context["request"].build_absolute_uri(work.get_absolute_url())


class ReadOnly(BasePermission):
    """Allow read-only requests."""

    def has_permission(self, request: Request, view: viewsets.GenericViewSet) -> bool:
        """Return whether the request only reads."""
        return request.method in SAFE_METHODS


class WorkViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.CreateModelMixin,
    mixins.DestroyModelMixin,
    viewsets.GenericViewSet,
):
    """List, show, create and delete works."""

    queryset = Work.objects.all()
    serializer_class = WorkSerializer
    permission_classes = [ReadOnly | IsAdminUser]
