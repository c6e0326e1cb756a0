"""``fab plan``: what a deploy would change."""
