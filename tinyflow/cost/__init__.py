"""What a network and a front end cost, estimated from shapes: instructions, flash, RAM."""
