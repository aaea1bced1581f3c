"""The runtime tflm: the installed library, the C that is generated for it, the arena that it needs."""
