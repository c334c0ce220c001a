"""The tab that draws: layout, events, and what they show."""
