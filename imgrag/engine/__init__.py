"""How a run goes: the one pipeline object, its stages in order, every template that a model is asked with (`prompts`).

Beside them the librarian, who borrows the pipeline's models for libraries, and what ZeroGPU needs.
"""
