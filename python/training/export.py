"""Writes a network as ONNX (opset 17) with dynamic batch and spatial size.

    python export.py --model run/state.pt --out brain.onnx --store int8 --golden brain.golden --data data

What is stored is small, what is computed with is fp32: `--store fp16` puts a Cast behind each weight, `--store int8` a Cast
and a Mul by a scale per output channel behind the weights of the large convolutions. Every runtime folds these when it
loads the file (ONNX Runtime leaves DequantizeLinear in the graph, hence the two nodes). The file carries the contract of the model in its metadata, and under `config` what train.py --init needs to go on from
it. Normalisation layers do not exist in the network, so there is nothing to fold.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

import golden
from evaluate import undeformed
from generate import synthesise
from labels import CLASS_IDS, CLASSES, COLOURS
from network import FACTOR, UNet
from weights import load


CASE = (64, 80, 64)
"""Voxels of the stored case: the crop of training."""
STORES = ("int8", "fp16", "fp32")


def quantised(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(int8 values, float32 scales [C, 1, ...]) of weights [C, ...]: zero is 0, and of 41 scales that clip up to two fifths
    of the largest weight each output channel takes the one with the least squared error."""
    axes = tuple(range(1, weight.ndim))
    largest = np.maximum(np.abs(weight).max(axis=axes, keepdims=True), 1e-12)
    values, scales = np.zeros(weight.shape, np.int8), largest / np.float32(127)
    least = np.full(largest.shape, np.inf)
    for clip in np.linspace(0.6, 1.0, 41, dtype=np.float32):
        scale = largest * clip / np.float32(127)
        q = np.clip(np.round(weight / scale), -127, 127)
        error = ((q * scale - weight) ** 2).sum(axis=axes, keepdims=True)
        better = error < least
        values, scales = np.where(better, q, values).astype(np.int8), np.where(better, scale, scales)
        least = np.minimum(error, least)
    return values, scales.astype(np.float32)


class Graph:
    """Nodes and initialisers; every method appends a node and returns the name of its output."""

    def __init__(self, store: str) -> None:
        self.store = store
        self.nodes: list[onnx.NodeProto] = []
        self.arrays: list[onnx.TensorProto] = []
        self.scales = self.constant("scales", np.array([1, 1, 2, 2, 2], np.float32))

    def node(self, op: str, inputs: list[str], name: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, value: np.ndarray) -> str:
        """A first layer, 1x1x1 convolutions and biases hold few of the weights and are not stored as int8."""
        large = value.ndim > 2 and value.shape[1] > 1 and np.prod(value.shape[2:]) > 1
        if self.store == "int8" and large:
            for kind, array in zip((".int8", ".scale"), quantised(value)):
                self.arrays.append(numpy_helper.from_array(array, name + kind))
            cast = self.node("Cast", [name + ".int8"], name + ".cast", to=TensorProto.FLOAT)
            return self.node("Mul", [cast, name + ".scale"], name)
        if self.store != "fp32" and value.ndim > 1:
            self.arrays.append(numpy_helper.from_array(value.astype(np.float16), name + ".fp16"))
            return self.node("Cast", [name + ".fp16"], name, to=TensorProto.FLOAT)
        self.arrays.append(numpy_helper.from_array(value, name))
        return name

    def conv(self, x: str, name: str, conv: torch.nn.Conv3d, out: str | None = None) -> str:
        weight = self.constant(name + ".weight", conv.weight.detach().numpy())
        bias = self.constant(name + ".bias", conv.bias.detach().numpy())
        k, pad = conv.kernel_size[0], conv.padding[0]
        return self.node("Conv", [x, weight, bias], out or name, kernel_shape=[k] * 3, pads=[pad] * 6, strides=[1] * 3)

    def pool(self, x: str, name: str) -> str:
        return self.node("MaxPool", [x], name, kernel_shape=[2] * 3, strides=[2] * 3)

    def double(self, x: str, name: str) -> str:
        nearest = dict(mode="nearest", nearest_mode="floor", coordinate_transformation_mode="asymmetric")
        return self.node("Resize", [x, "", self.scales], name, **nearest)

    def model(self, title: str, classes: int, properties: dict[str, str]) -> onnx.ModelProto:
        """`image` [batch, 1, x, y, z] -> `logits` [batch, classes, x, y, z], with the contract as metadata."""
        space = ["x", "y", "z"]
        inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, *space])]
        margin = properties.get("margin")
        space = [f"{n} - {2 * int(margin)}" for n in space] if margin else space
        outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes, *space])]
        graph = helper.make_graph(self.nodes, title, inputs, outputs, self.arrays)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="unet-vol training")
        model.ir_version = 8
        helper.set_model_props(model, properties)
        onnx.checker.check_model(model)
        return model

    def block(self, x: str, name: str, block: torch.nn.Sequential) -> str:
        for i, m in enumerate(block):
            y = self.conv(x, f"{name}.{i}.conv", m.conv)
            x = self.node("Relu", [y], f"{name}.{i}.relu")
        return x


def to_onnx(net: UNet, title: str, store: str) -> onnx.ModelProto:
    """`image` [batch, 1, x, y, z] -> `logits` [batch, 33, x, y, z]; initialisers are named like the parameters."""
    g = Graph(store)
    x, skips = "image", []
    for i, block in enumerate(net.down):
        if i:
            x = g.pool(x, f"pool.{i}")
        x = g.block(x, f"down.{i}", block)
        skips.append(x)
    for i in (3, 2, 1, 0):
        y = g.conv(x, f"up.{i}.proj", net.up[i].proj)
        y = g.double(y, f"up.{i}.resize")
        x = g.block(g.node("Add", [y, skips[i]], f"up.{i}.add"), f"dec.{i}", net.dec[i])
    g.conv(x, "head", net.head, "logits")
    properties = dict(
        spacing_mm="2 2 2",
        axes="N C x(right) y(anterior) z(superior)",
        divisible_by=str(FACTOR),
        normalise="clamp((x-p0.5)/(p99.5-p0.5),0,1) over in-field 2 mm voxels; padding 0",
        label_ids=" ".join(str(i) for i in CLASS_IDS),
        label_names="|".join(n for _, n in CLASSES),
        label_colours=" ".join(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in COLOURS),
        config=json.dumps(net.config.to_dict()),
    )
    return g.model(title, net.config.nclass, properties)


def save_and_compare(model: onnx.ModelProto, net: torch.nn.Module, out: Path, side: tuple[int, int, int], threads: int):
    """Writes the file, runs it in ONNX Runtime beside torch on noise of two samples, and returns the session."""
    import onnxruntime as ort

    onnx.save(model, out)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(out, options, providers=["CPUExecutionProvider"])
    x = np.random.RandomState(0).rand(2, 1, *side).astype(np.float32)
    with torch.no_grad():
        want = net(torch.from_numpy(x)).numpy()
    got = session.run(None, {"image": x})[0]
    difference, largest = float(np.abs(got - want).max()), float(np.abs(want).max())
    same = float((got.argmax(1) == want.argmax(1)).mean())
    print(f"{out}: {out.stat().st_size} bytes, differs from torch by {difference:.2g} of {largest:.3g}, {same:.4f} of the labels same")
    return session


def write_golden(session, data: Path, number: int, seed: int, path: Path) -> None:
    """The middle of a synthetic head of a held-back map, and what the exported model makes of it."""
    s = synthesise(torch.from_numpy(undeformed(data, number)), np.random.RandomState(seed), t1_share=0.5)
    middle = tuple(slice((n - m) // 2, (n + m) // 2) for n, m in zip(s.image.shape, CASE))
    image = golden.coarse(s.image.numpy()[middle] * 255)
    logits = session.run(None, {"image": (image / np.float32(255))[None, None]})[0][0]
    classes = logits.argmax(0).astype(np.uint8)
    golden.write(path, image, classes, 1 / 255, 0.0)
    same = float((classes == s.first.numpy()[middle]).mean())
    print(f"{path}: {path.stat().st_size} bytes, {len(np.unique(classes))} classes, {same:.4f} of the voxels as in the target")


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--model", type=Path, required=True, help="state.pt or .onnx")
    ap.add_argument("--out", type=Path, required=True)
    ap.add_argument("--store", choices=STORES, default="fp32", help="how the weights lie in the file")
    ap.add_argument("--raw", action="store_true", help="the last weights instead of their moving average")
    ap.add_argument("--golden", type=Path, help="also write the stored case of `models verify`")
    ap.add_argument("--data", type=Path, default=Path("data"), help="golden: folder of map_NN.npy")
    ap.add_argument("--map", type=int, default=19)
    ap.add_argument("--seed", type=int, default=14, help="golden: look of the head")
    ap.add_argument("--threads", type=int, default=2)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    net = load(a.model, averaged=not a.raw).eval()
    session = save_and_compare(to_onnx(net, a.out.stem, a.store), net, a.out, (48, 32, 64), a.threads)
    if a.golden:
        write_golden(session, a.data, a.map, a.seed, a.golden)


if __name__ == "__main__":
    main()
