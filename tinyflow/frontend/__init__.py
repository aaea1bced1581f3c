"""Front ends: audio to the features that a network reads, in torch and in generated C from one configuration."""
