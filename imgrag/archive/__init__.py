"""How runs are kept: written after every stage, read with every value checked, restored, forgotten."""
