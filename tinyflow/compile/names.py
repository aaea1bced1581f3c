"""Names of tensors as people read them."""


def brief(name: str) -> str:
    """A tensor's name for people: converters join the names of all that was fused, with their scopes.

    >>> brief("net/relu/Relu;net/bn/FusedBatchNorm;net/conv2d_1/Conv2D"), brief("input_1")
    ('conv2d_1/Conv2D', 'input_1')
    """
    return "/".join(name.rpartition(";")[2].split("/")[-2:])
