"""What the small models know: icons, words, scenes, styles, and pictures by other hands."""
