"""`python -m imgrag`: every command, its progress and its errors."""
