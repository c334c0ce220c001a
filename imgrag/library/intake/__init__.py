"""How pictures come into a library: where they lie, how they are read, what is known of them."""
