"""The foundation of every other package: steps, facts, paths, errors, and the report on the screen."""
