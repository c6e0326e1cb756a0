"""The test runner."""

import logging
import tempfile
from typing import Any

from django.test.runner import DiscoverRunner
from django.test.utils import override_settings

PLAIN_STATIC_FILES = "django.contrib.staticfiles.storage.StaticFilesStorage"
PLAIN_STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": PLAIN_STATIC_FILES},
}


class Runner(DiscoverRunner):
    """Run tests without the real media folder, and without collectstatic."""

    def setup_test_environment(self, **kwargs: Any) -> None:
        """Create a media folder for the tests."""
        super().setup_test_environment(**kwargs)
        self._media = tempfile.TemporaryDirectory(prefix="media-")
        self._overrides = override_settings(
            MEDIA_ROOT=self._media.name,
            STORAGES=PLAIN_STORAGES,
            PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
            RELEASE="",
        )
        self._overrides.enable()
        # Many tests cause warnings on purpose.
        logging.getLogger("django.request").setLevel(logging.ERROR)

    def teardown_test_environment(self, **kwargs: Any) -> None:
        """Remove that folder."""
        self._overrides.disable()
        self._media.cleanup()
        super().teardown_test_environment(**kwargs)
