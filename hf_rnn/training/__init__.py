"""What trains: trainer, arguments, samplers, checkpoints, defaults by the number of rows."""
