"""What the lowerings of several operators share: calls of C kernels and the checks before them, weights and their
packing, requantisation and sums in few instructions.
"""
