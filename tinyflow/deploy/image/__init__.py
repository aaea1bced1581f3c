"""The image itself: its linker script, its sizes and map, the self-test clips in it."""
