"""The stages. Each plans steps from settings and facts, applies them, and leaves in the run what the next one needs."""
