"""What a run is: values, what it announces, what a person may change in it, what it decided and why. No models."""
