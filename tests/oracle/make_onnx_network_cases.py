"""Writes testdata/onnx/networks: small networks exported from PyTorch by both of its exporters, with golden values.

Needs torch and onnxscript beside the packages of make_onnx_cases.py.
"""

from torch import nn

from onnx_cases import Cases
from torch_networks import AttentionUNet, MonaiUNet, PlainConvUNet, ResizeUNet, UNet2015, export, randomized

CASES = Cases("networks")


def main():
    u = lambda: randomized(UNet2015(1), 1)
    CASES.add("unet2015_torchscript", export(u(), (1, 1, 572, 572), "torchscript", 17), (1, 1, 188, 188), shapes_only=[(1, 1, 572, 572), (2, 1, 220, 188)])
    CASES.add("unet2015_dynamo", export(u(), (2, 1, 572, 572), "dynamo", 18), shapes_only=[(1, 1, 572, 572), (1, 1, 188, 204)])
    CASES.add("unet2015_fixed", export(randomized(UNet2015(1, levels=1), 1), (1, 1, 44, 44), "torchscript", 13, dynamic=False), (1, 1, 44, 44))
    CASES.add("unet2015_3d", export(randomized(UNet2015(2, levels=1, space=3), 2), (1, 1, 28, 28, 28), "torchscript", 17), (1, 1, 20, 22, 18), shapes_only=[(1, 1, 44, 44, 44)])
    m = lambda: randomized(MonaiUNet([3, 4, 6]), 3)
    CASES.add("monai_torchscript", export(m(), (1, 1, 16, 16, 16), "torchscript", 17), (1, 1, 8, 12, 8), shapes_only=[(1, 1, 32, 64, 16)])
    CASES.add("monai_dynamo", export(m(), (2, 1, 16, 16, 16), "dynamo", 20), (2, 1, 8, 4, 8), shapes_only=[(1, 1, 32, 64, 16)])
    n = lambda: randomized(PlainConvUNet([3, 4, 6], [1, 2, (1, 2, 2)]), 4)
    CASES.add("nnunet3d_torchscript", export(n(), (1, 1, 16, 16, 16), "torchscript", 17), (1, 1, 6, 12, 8), shapes_only=[(1, 1, 32, 64, 16)])
    CASES.add("nnunet3d_dynamo", export(n(), (2, 1, 16, 16, 16), "dynamo", 18), (1, 1, 6, 12, 8), shapes_only=[(1, 1, 32, 64, 16)])
    CASES.add("nnunet2d_batchnorm", export(randomized(PlainConvUNet([4, 6, 8], [1, 2, 2], 2, norm="batch"), 5), (1, 1, 32, 32), "torchscript", 17), (2, 1, 16, 24))
    CASES.add("nnunet2d_fixed", export(randomized(PlainConvUNet([4, 6], [1, 2], 2), 5), (1, 1, 16, 16), "dynamo", 18, dynamic=False), (1, 1, 16, 16))
    CASES.add("groupnorm_torchscript", export(randomized(PlainConvUNet([4, 6], [1, 2], norm="group"), 6), (1, 1, 8, 8, 8), "torchscript", 14), (2, 1, 4, 6, 8))
    CASES.add("groupnorm_dynamo", export(randomized(PlainConvUNet([4, 6], [1, 2], norm="group"), 6), (2, 1, 8, 8, 8), "dynamo", 18), (2, 1, 4, 6, 8))
    for exporter, opset in (("torchscript", 12), ("dynamo", 18)):
        for mode in ("nearest", "bilinear", "corners"):
            net = randomized(ResizeUNet(mode=mode, act=nn.GELU if mode == "nearest" else nn.SiLU), 7)
            CASES.add(f"resize_{mode}_{exporter}{opset}", export(net, (2, 1, 12, 14), exporter, opset), (1, 1, 8, 10), (1, 1, 9, 11))
    for exporter, opset in (("torchscript", 17), ("dynamo", 18)):
        net = randomized(ResizeUNet(to_skip=False, act=nn.Hardswish), 8)
        CASES.add(f"resize_pad_{exporter}", export(net, (2, 1, 12, 14), exporter, opset), (1, 1, 8, 10), (1, 1, 9, 11))
        CASES.add(f"attention_{exporter}", export(randomized(AttentionUNet(), 9), (2, 1, 8, 8, 8), exporter, opset), (1, 1, 4, 6, 4))
    CASES.save()


if __name__ == "__main__":
    main()
