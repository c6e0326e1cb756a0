"""What every other package stands on: steps, facts, paths, errors, and the report on the screen."""
