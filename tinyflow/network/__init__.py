"""What a network is: its genotype, its torch module, and its int8 graph without weights."""
