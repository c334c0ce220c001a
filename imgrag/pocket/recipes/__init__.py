"""One training recipe a checkpoint, the one training loop, and the lessons they learn from."""
