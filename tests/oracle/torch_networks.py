"""Small and large networks in PyTorch as the public ones are built, and their export to ONNX. Needs torch and onnx."""

import io
import warnings

import onnx
import torch
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore")


def export(net, shape, exporter, opset, dynamic=True):
    """The ONNX model of `net`, free in batch and space unless `dynamic` is false."""
    x = torch.randn(shape)
    buffer = io.BytesIO()
    axes = [0, *range(2, len(shape))]
    names = dict(input_names=["image"], output_names=["scores"], opset_version=opset)
    if exporter == "dynamo":
        free = ({a: torch.export.Dim.DYNAMIC for a in axes},) if dynamic else None
        torch.onnx.export(net, (x,), buffer, dynamo=True, dynamic_shapes=free, verbose=False, **names)
    else:
        free = {"image": {a: f"a{a}" for a in axes}} if dynamic else None
        torch.onnx.export(net, (x,), buffer, dynamo=False, dynamic_axes=free, **names)
    model = onnx.load_from_string(buffer.getvalue())
    del model.graph.value_info[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del model.graph.metadata_props[:], model.metadata_props[:], model.functions[:]
    return model


def randomized(net, seed):
    """Weights and running statistics that make every layer matter."""
    torch.manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 1.5)
        if getattr(module, "weight", None) is not None and module.weight.dim() == 1:
            nn.init.uniform_(module.weight, 0.5, 1.5)
        elif getattr(module, "weight", None) is not None:
            nn.init.kaiming_normal_(module.weight, 0.2)
        if getattr(module, "bias", None) is not None:
            nn.init.uniform_(module.bias, -0.3, 0.3)
    return net.eval()


class UNet2015(nn.Module):
    """Ronneberger et al. 2015: valid convolutions, crops, 572 -> 388 with four levels."""

    def __init__(self, channels, levels=4, classes=2, space=2):
        super().__init__()
        conv, up, self.pool = (nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d(2)) if space == 2 else (nn.Conv3d, nn.ConvTranspose3d, nn.MaxPool3d(2))
        double = lambda a, b: nn.Sequential(conv(a, b, 3), nn.ReLU(), conv(b, b, 3), nn.ReLU())
        widths = [channels * 2**level for level in range(levels + 1)]
        self.down = nn.ModuleList(double(a, b) for a, b in zip([1, *widths], widths))
        self.up = nn.ModuleList(up(b, a, 2, 2) for a, b in zip(widths, widths[1:]))
        self.merge = nn.ModuleList(double(2 * a, a) for a in widths[:-1])
        self.head = conv(widths[0], classes, 1)

    def forward(self, x):
        skips = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else self.pool(x))
            skips.append(x)
        for skip, up, merge in reversed(list(zip(skips, self.up, self.merge))):
            x = up(x)
            for axis in range(2, x.dim()):
                skip = skip.narrow(axis, (skip.shape[axis] - x.shape[axis]) // 2, x.shape[axis])
            x = merge(torch.cat([skip, x], 1))
        return self.head(x)


class ResidualUnit(nn.Module):
    """MONAI's ResidualUnit: two convolutions with InstanceNorm and PReLU, and a projected shortcut."""

    def __init__(self, a, b, stride, up_only=False):
        super().__init__()
        layers = []
        for i in range(1 if up_only else 2):
            layers.append(nn.Conv3d(a if i == 0 else b, b, 3, stride if i == 0 else 1, 1))
            layers += [nn.InstanceNorm3d(b), nn.PReLU()]
        self.conv = nn.Sequential(*layers)
        self.shortcut = nn.Conv3d(a, b, 3, stride, 1) if stride > 1 else nn.Conv3d(a, b, 1) if a != b else nn.Identity()

    def forward(self, x):
        return self.conv(x) + self.shortcut(x)


class MonaiUNet(nn.Module):
    """The shape of MONAI's UNet with residual units: strided convolutions down, transposed convolutions k3 s2 up."""

    def __init__(self, widths, classes=3):
        super().__init__()
        self.down = nn.ModuleList(ResidualUnit(a, b, 2) for a, b in zip([1, *widths], widths[:-1]))
        self.bottom = ResidualUnit(widths[-2], widths[-1], 1)
        ups, inputs = [], [widths[-1] + widths[-2]] + [2 * w for w in reversed(widths[:-2])]
        for i, (a, b) in enumerate(zip(inputs, [*reversed(widths[:-2]), classes])):
            last = i == len(inputs) - 1
            up = [nn.ConvTranspose3d(a, b, 3, 2, 1, 1)] + [nn.InstanceNorm3d(b), nn.PReLU()] + ([ResidualUnit(b, b, 1, True)] if not last else [])
            ups.append(nn.Sequential(*up))
        self.up = nn.ModuleList(ups)

    def forward(self, x):
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
        x = self.bottom(x)
        for skip, block in zip(reversed(skips), self.up):
            x = block(torch.cat([skip, x], 1))
        return x


class PlainConvUNet(nn.Module):
    """The shape of nnU-Net's PlainConvUNet: strided convolutions, InstanceNorm, LeakyReLU, transposed convolutions k = s."""

    def __init__(self, widths, strides, space=3, classes=3, norm="instance"):
        super().__init__()
        conv = (nn.Conv2d, nn.Conv3d)[space - 2]
        up = (nn.ConvTranspose2d, nn.ConvTranspose3d)[space - 2]
        norms = {"instance": (nn.InstanceNorm2d, nn.InstanceNorm3d)[space - 2], "batch": (nn.BatchNorm2d, nn.BatchNorm3d)[space - 2]}
        make = lambda b: nn.GroupNorm(2, b) if norm == "group" else norms[norm](b, affine=True)
        one = lambda a, b, s: nn.Sequential(conv(a, b, 3, s, 1), make(b), nn.LeakyReLU(0.01))
        double = lambda a, b, s=1: nn.Sequential(one(a, b, s), one(b, b, 1))
        self.down = nn.ModuleList(double(a, b, s) for a, b, s in zip([1, *widths], widths, strides))
        self.up = nn.ModuleList(up(b, a, s, s) for a, b, s in zip(widths, widths[1:], strides[1:]))
        self.merge = nn.ModuleList(double(2 * a, a) for a in widths[:-1])
        self.head = conv(widths[0], classes, 1)

    def forward(self, x):
        skips = []
        for block in self.down:
            x = block(x)
            skips.append(x)
        for skip, up, merge in reversed(list(zip(skips, self.up, self.merge))):
            x = merge(torch.cat([up(x), skip], 1))
        return self.head(x)


class ResizeUNet(nn.Module):
    """Pooling down, interpolation up to the size of the skip, padding as many public U-Nets do, GELU or SiLU."""

    def __init__(self, width=4, mode="bilinear", to_skip=True, act=nn.GELU):
        super().__init__()
        self.mode, self.to_skip = mode, to_skip
        block = lambda a, b: nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), act())
        self.a, self.b, self.c, self.d = block(1, width), block(width, 2 * width), block(3 * width, width), nn.Conv2d(width, 2, 1)

    def forward(self, x):
        skip = self.a(x)
        low = self.b(F.max_pool2d(skip, 2))
        more = {} if self.mode == "nearest" else {"align_corners": self.mode == "corners"}
        mode = "bilinear" if self.mode == "corners" else self.mode
        if self.to_skip:
            up = F.interpolate(low, size=skip.shape[2:], mode=mode, **more)
        else:
            up = F.interpolate(low, scale_factor=2, mode=mode, **more)
            dy, dx = skip.shape[2] - up.shape[2], skip.shape[3] - up.shape[3]
            up = F.pad(up, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
        return self.d(self.c(torch.cat([skip, up], 1)))


class AttentionUNet(nn.Module):
    """Additive attention gate (Oktay et al. 2018), squeeze and excitation, average pooling, sigmoid output."""

    def __init__(self, width=4):
        super().__init__()
        conv = lambda a, b, k=3: nn.Conv3d(a, b, k, padding=k // 2)
        self.a, self.b = conv(1, width), conv(width, 2 * width)
        self.up = nn.ConvTranspose3d(2 * width, width, 2, 2)
        self.g, self.x, self.psi = conv(width, width, 1), conv(width, width, 1), conv(width, 1, 1)
        self.se1, self.se2 = nn.Linear(2 * width, width), nn.Linear(width, 2 * width)
        self.c, self.head = conv(2 * width, width), conv(width, 2, 1)

    def forward(self, x):
        skip = F.relu(self.a(x))
        low = F.relu(self.b(F.avg_pool3d(skip, 2)))
        w = torch.sigmoid(self.se2(F.relu(self.se1(low.mean((2, 3, 4))))))
        up = self.up(low * w[:, :, None, None, None])
        gate = torch.sigmoid(self.psi(F.relu(self.g(up) + self.x(skip))))
        return torch.sigmoid(self.head(F.elu(self.c(torch.cat([skip * gate, up], 1)))))
