"""The pocket world, one training recipe a checkpoint, and the judge that grades them.

Everything here is a recipe: it needs `imgrag.engine.prompts` (the templates a model is
trained on are the templates it is asked with) and nothing above that.
"""
