"""Where a firmware runs: QEMU, Renode, this machine, a serial port. place.py chooses; each of the others starts one and
gives its console.
"""
