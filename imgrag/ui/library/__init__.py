"""The tab of libraries: layout, events, cards and uploads."""
