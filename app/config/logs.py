"""What log lines carry."""

import logging


class RequestId(logging.Filter):
    """Add the X-Request-ID that Nginx gave a request, so that both logs can be read side by side."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        headers = getattr(getattr(record, "request", None), "headers", {})
        record.request_id = headers.get("X-Request-ID", "-")
        return True
