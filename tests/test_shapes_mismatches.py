"""Of layers made wrong on purpose, `snippets.shapes` finds which, and why."""

from __future__ import annotations

import random

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from snippets.shapes import ShapeError, trace_shapes
from tests.test_shapes import torchvision_inputs, torchvision_model

# One of each family, so that none weighs more than the others.
FAMILIES = (
    *("alexnet", "vgg11_bn", "resnet18", "resnext50_32x4d", "densenet121"),
    *("googlenet", "inception_v3", "mobilenet_v2", "mobilenet_v3_small"),
    *("shufflenet_v2_x0_5", "squeezenet1_1", "mnasnet0_5", "efficientnet_b0"),
    *("regnet_y_400mf", "convnext_tiny", "vit_b_32", "swin_t", "swin_v2_t"),
    *("maxvit_t", "r3d_18", "s3d", "swin3d_t", "lraspp_mobilenet_v3_large"),
    *("fcn_resnet50", "raft_small", "ssdlite320_mobilenet_v3_large"),
)


class Recurrent(nn.Module):
    """Words, a recurrent layer, a head."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 12)
        self.rnn = nn.LSTM(12, 20, num_layers=2, batch_first=True)
        self.norm = nn.LayerNorm(20)
        self.head = nn.Linear(20, 5)

    def forward(self, words):
        states, _ = self.rnn(self.embed(words))
        return self.head(self.norm(states)[:, -1])


class Transformer(nn.Module):
    """Words, two layers of attention, a head."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        self.norm = nn.LayerNorm(16)
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.body = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(16, 5)

    def forward(self, words):
        return self.head(self.body(self.norm(self.embed(words))).mean(1))


def perceptron():
    layers = [nn.Flatten(), nn.Linear(48, 20), nn.ReLU(), nn.BatchNorm1d(20)]
    return nn.Sequential(*layers, nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 5))


def autoencoder():
    down = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.GroupNorm(2, 8))
    up = nn.Sequential(nn.ConvTranspose2d(8, 6, 2, stride=2), nn.Conv2d(6, 3, 1))
    return nn.Sequential(down, nn.ReLU(), up)


WORDS = torch.zeros(2, 7, dtype=torch.long)
OWN = {
    "perceptron": (perceptron, [(2, 3, 4, 4)]),
    "autoencoder": (autoencoder, [(2, 3, 16, 16)]),
    "recurrent": (Recurrent, [WORDS]),
    "transformer": (Transformer, [WORDS]),
}
# An embedding gives a size instead of expecting it: the next layer is the wrong one.
NEXT = {"recurrent": "rnn", "transformer": "norm"}


def another(number, generator):
    """A size near, or one typical of a slip."""
    return generator.choice([number + 1, 2 * number, number - 1 or number + 2])


def wrong_layer(layer, generator):
    """A layer like the one given, and the size that it expects and that it will get."""
    if isinstance(layer, nn.Linear):
        given = layer.in_features
        expected = another(given, generator)
        new = nn.Linear(expected, layer.out_features, layer.bias is not None)
    elif isinstance(layer, _ConvNd):
        given = layer.in_channels
        expected = given + layer.groups * generator.choice([1, 2])
        new = convolution(layer, expected)
    elif isinstance(layer, _BatchNorm):
        given = layer.num_features
        expected = another(given, generator)
        new = type(layer)(expected)
    elif isinstance(layer, nn.LayerNorm):
        given = tuple(layer.normalized_shape)
        expected = (*given[:-1], another(given[-1], generator))
        new = type(layer)(expected)
    elif isinstance(layer, nn.GroupNorm):
        given = layer.num_channels
        expected = given + layer.num_groups
        new = nn.GroupNorm(layer.num_groups, expected)
    elif isinstance(layer, nn.MultiheadAttention):
        given, heads = layer.embed_dim, layer.num_heads
        expected = given + heads
        new = nn.MultiheadAttention(expected, heads, batch_first=layer.batch_first)
    elif isinstance(layer, nn.LSTM):
        given = layer.input_size
        expected = another(given, generator)
        new = nn.LSTM(expected, layer.hidden_size, layer.num_layers, batch_first=True)
    else:
        expected = layer.embedding_dim
        given = another(expected, generator)
        new = nn.Embedding(layer.num_embeddings, given)
    return new, expected, given


def convolution(layer, in_channels):
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    if isinstance(layer, _ConvTransposeNd):
        kinds = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    return kinds[len(layer.kernel_size) - 1](
        in_channels,
        layer.out_channels,
        layer.kernel_size,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=layer.bias is not None,
    )


KINDS = (nn.Linear, _ConvNd, _BatchNorm, nn.LayerNorm, nn.GroupNorm)
KINDS += (nn.MultiheadAttention, nn.LSTM, nn.Embedding)


def plant(name, generator):
    """Make one layer wrong, and return the model, its input and what to find."""
    if name in OWN:
        build, inputs = OWN[name]
        model = build()
    else:
        model, inputs = torchvision_model(name), torchvision_inputs(name)
    # Auxiliary heads are only called in training.
    layers = {
        path: layer
        for path, layer in model.named_modules()
        if isinstance(layer, KINDS) and "aux" not in path.lower()
    }
    path = generator.choice(sorted(layers))
    device = next(layers[path].parameters()).device
    with device:
        new, expected, given = wrong_layer(layers[path], generator)
    model.set_submodule(path, new)
    if isinstance(new, nn.Embedding):
        path = NEXT[name]
    # A normalized shape of one size is said as it stands in the layer.
    return model, inputs, (path, expected, given)


@pytest.mark.slow
def test_a_hundred_planted_mismatches_are_found():
    """Path, expected and given size are those planted, and the message says what fits.

    At least 95 of 100; what was missed is printed.
    """
    generator = random.Random(0)
    names = (*OWN, *FAMILIES)
    missed = []
    for number in range(100):
        name = names[number % len(names)]
        model, inputs, planted = plant(name, generator)
        with pytest.raises(ShapeError) as caught:
            trace_shapes(model, *inputs)
        error = caught.value
        found = error.path, error.expected, error.given
        helpful = "would fit" in str(error) and (
            error.previous or "before" not in str(error)
        )
        if found != planted or not helpful:
            missed.append(name)
            print(f"{name}: planted {planted}, found {found}: {error}")
    print(f"found {100 - len(missed)} of 100; missed in: {missed}")
    assert len(missed) <= 5
