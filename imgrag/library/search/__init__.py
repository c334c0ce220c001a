"""How pictures are found: queries, filters, one model's column of a library, the VLM's order."""
