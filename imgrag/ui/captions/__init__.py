"""The Caption tab: a picture, its neighbours, the prompt made of their captions, and the caption."""
