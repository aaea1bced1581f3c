"""From an operator of the Graph to calls of C kernels: every shape, offset and multiplier a number.

One module per family. Each lowering function takes (graph, op) and returns a Step, or refuses what the kernels, or
TFLM, do not compute, naming the operator and its tensor.
"""
