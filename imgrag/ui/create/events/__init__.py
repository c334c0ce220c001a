"""What its events do: runs, and changes of what a run decided."""
