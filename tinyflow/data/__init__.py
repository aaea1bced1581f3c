"""Stage: recordings or synthetic speech to a Dataset."""
