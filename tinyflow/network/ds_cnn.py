"""The baseline: DS-CNN, the keyword-spotting network of MLPerf Tiny (Banbury et al., 2021, after Zhang et al., 2017).

A convolution of 10 frames x 4 coefficients at stride 2, four depthwise-separable blocks, a global average pool and a
linear layer, 64 channels throughout. It reads the features of any front end at their own size.
"""

from torch import nn

CHANNELS, BLOCKS, KERNEL = 64, 4, (10, 4)
PADDING = (1, 2, 4, 5)  # left, right, top, bottom: what gives ceil(n/2) for the even kernel, odd and even sizes alike
DROPOUTS = (0.2, 0.4)  # after the first convolution and before the pool, as MLPerf Tiny trains it


def ds_cnn(classes: int) -> nn.Sequential:
    """Features (N, 1, frames, features) to logits (N, classes)."""
    layers = [
        nn.ZeroPad2d(PADDING),
        *_layer(nn.Conv2d(1, CHANNELS, KERNEL, stride=2, bias=False)),
        nn.Dropout(DROPOUTS[0]),
    ]
    for _ in range(BLOCKS):
        layers += _layer(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS, bias=False))
        layers += _layer(nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False))
    return nn.Sequential(
        *layers, nn.Dropout(DROPOUTS[1]), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, classes)
    )


def _layer(convolution: nn.Conv2d) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]
