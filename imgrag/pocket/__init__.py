"""The bundled models' world (`world`), one training recipe a checkpoint (`recipes`), and the judge that grades them.

Of the engine it uses `imgrag.engine.prompts` alone: the templates a model is trained on are the
templates it is asked with.
"""
