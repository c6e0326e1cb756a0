"""``fab plan``: show what a deploy would change."""
