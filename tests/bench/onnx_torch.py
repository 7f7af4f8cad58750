"""An ONNX network of convolutions, pooling and nearest-neighbor upsampling as a PyTorch module, for timing PyTorch on it.

Conv, Relu, MaxPool, Resize by whole factors, Add and Concat, and weights stored as fp16 or int8 (Cast, Mul); anything else is
refused.
"""

import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn
from torch.nn import functional as F


def symmetric(attributes, rank):
    """Padding as PyTorch has it: the same before and after."""
    pads = attributes.get("pads", [0] * 2 * rank)
    if pads[:rank] != pads[rank:]:
        raise ValueError(f"padding {pads} is not symmetric")
    return pads[:rank]


class OnnxNetwork(nn.Module):
    """Runs the graph's nodes in order; weights are parameters."""

    def __init__(self, path):
        super().__init__()
        graph = onnx.load(path).graph
        constants = {w.name: torch.from_numpy(numpy_helper.to_array(w).copy()) for w in graph.initializer}
        self.input, self.output = graph.input[0].name, graph.output[0].name
        self.steps = [self.step(node, constants) for node in graph.node if not self.folded(node, constants)]
        last = {name: step for step, (inputs, _, _) in enumerate(self.steps) for name in inputs}
        self.dead = [[name for name in set(inputs) if last[name] == n] for n, (inputs, _, _) in enumerate(self.steps)]

    @staticmethod
    def folded(node, constants):
        """Whether the node is a step of how weights are stored, and its result a constant now."""
        if node.op_type not in ("Cast", "Mul") or not all(name in constants for name in node.input):
            return False
        stored = [constants[name].float() for name in node.input]
        constants[node.output[0]] = stored[0] if node.op_type == "Cast" else stored[0] * stored[1]
        return True

    def step(self, node, constants):
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        inputs = [name for name in node.input if name and name not in constants]
        return inputs, node.output[0], self.operator(node, attributes, constants)

    def operator(self, node, attributes, constants):
        if node.op_type == "Conv":
            weight = constants[node.input[1]]
            rank = weight.dim() - 2
            conv = (nn.Conv2d, nn.Conv3d)[rank - 2](
                weight.shape[1] * attributes.get("group", 1),
                weight.shape[0],
                tuple(weight.shape[2:]),
                tuple(attributes.get("strides", [1] * rank)),
                tuple(symmetric(attributes, rank)),
                tuple(attributes.get("dilations", [1] * rank)),
                attributes.get("group", 1),
                bias=len(node.input) > 2,
            )
            conv.weight.data = weight
            if len(node.input) > 2:
                conv.bias.data = constants[node.input[2]]
            self.add_module(f"conv{len(self._modules)}", conv)
            return conv
        if node.op_type == "Relu":
            return lambda x: F.relu(x, inplace=True)
        if node.op_type == "MaxPool":
            kernel, strides = attributes["kernel_shape"], attributes["strides"]
            pool = (F.max_pool2d, F.max_pool3d)[len(kernel) - 2]
            padding = symmetric(attributes, len(kernel))
            return lambda x: pool(x, kernel, strides, padding)
        if node.op_type == "Resize":
            kind = attributes.get("mode"), attributes.get("coordinate_transformation_mode"), attributes.get("nearest_mode")
            if kind != (b"nearest", b"asymmetric", b"floor"):
                raise ValueError(f"Resize {kind}")
            scales = constants[node.input[2]].tolist()[2:]
            return lambda x: F.interpolate(x, scale_factor=scales, mode="nearest")
        if node.op_type == "Add":
            return torch.add
        if node.op_type == "Concat":
            return lambda *x: torch.cat(x, attributes["axis"])
        raise ValueError(f"operator {node.op_type}")

    def forward(self, x):
        values = {self.input: x}
        for (inputs, output, run), dead in zip(self.steps, self.dead):
            values[output] = run(*(values[name] for name in inputs))
            for name in dead:
                del values[name]
        return values[self.output]


def difference(path, shape, threads=1):
    """Largest difference to ONNX Runtime over its largest score, on random input; None without ONNX Runtime."""
    try:
        import onnxruntime
    except ImportError:
        return None
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    want = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    with torch.inference_mode():
        got = OnnxNetwork(path).eval()(x).numpy()
    return float(abs(got - want).max() / abs(want).max())
