"""How a run goes: the one pipeline object, its stages in order, and the librarian that borrows its models."""
