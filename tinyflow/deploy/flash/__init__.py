"""Stage: firmware onto a real board, through OpenOCD, pyOCD or the probe's drag-and-drop drive, until it says hello."""
