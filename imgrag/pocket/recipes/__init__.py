"""One training recipe a checkpoint (by name in `catalogue`), the one training loop, and the lessons they learn from."""
