"""The tab of past runs: layout, events, and whose runs they are (`owners`)."""
