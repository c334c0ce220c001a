"""The tab that draws: layout, events, what they show (`board`, `markup`, `usage`), and the endpoint for lists of prompts."""
