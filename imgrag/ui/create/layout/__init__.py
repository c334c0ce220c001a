"""What the tab holds: the settings left, a panel a stage right, a fold that corrects it."""
