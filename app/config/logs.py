"""Logging."""

import logging


class RequestId(logging.Filter):
    """Add the X-Request-ID that Nginx has set, so that lines of both logs can be matched."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Accept every record."""
        headers = getattr(getattr(record, "request", None), "headers", {})
        record.request_id = headers.get("X-Request-ID", "-")
        return True
