"""Writes testdata/onnx/operators: one small ONNX model per operator and setting, with golden values of ONNX Runtime."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnx_cases import Cases

CASES = Cases("operators")


class Builder:
    """A graph under construction: `op` adds a node and gives the name of its output."""

    def __init__(self, name, rank=4, channels=3, opset=17, inputs=1, dtype=TensorProto.FLOAT):
        self.name, self.opset = name, opset
        self.rng = np.random.default_rng(list(reversed(name.encode())))
        axes = ["N", channels, "D", "H", "W"] if rank == 5 else ["N", channels, "H", "W"] if rank == 4 else ["N", channels, "W"][:rank]
        self.inputs = [helper.make_tensor_value_info("x" if i == 0 else f"x{i}", dtype, axes) for i in range(inputs)]
        self.nodes, self.weights, self.dtype = [], [], dtype

    def weight(self, *shape, low=None, high=None, dtype=np.float32):
        values = self.rng.standard_normal(shape) / np.sqrt(max(1, np.prod(shape[1:]))) if low is None else self.rng.uniform(low, high, shape)
        return self.constant(values.astype(dtype))

    def constant(self, values):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def op(self, kind, *inputs, outputs=1, **attributes):
        names = [f"v{len(self.nodes)}" + ("" if outputs == 1 else f"_{o}") for o in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=f"{kind}_{len(self.nodes)}", **attributes))
        return names[0] if outputs == 1 else names

    def model(self, *outputs, dtype=None):
        infos = [helper.make_tensor_value_info(o, dtype or self.dtype, None) for o in outputs]
        graph = helper.make_graph(self.nodes, self.name, self.inputs, infos, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8, producer_name="cases")
        model = onnx.shape_inference.infer_shapes(model)
        del model.graph.value_info[:]
        return model


def spatial(rank, side=None):
    side = side or (5 if rank == 5 else 7)
    return (side, side + 2, side - 1)[: rank - 2]


def single(name, kind, *weights, rank=4, channels=3, opset=17, shape=None, batch=1, low=None, high=None, out=None, nan=False, **attributes):
    """One node: input x, then weights given as shapes (tuples), arrays, or '' for a missing one."""
    b = Builder(name, rank, channels, opset)
    names = [w if isinstance(w, str) else b.weight(*w) if isinstance(w, tuple) else b.constant(w) for w in weights]
    y = b.op(kind, "x", *names, **attributes)
    CASES.add(name, b.model(y, dtype=out), shape or (batch, channels, *spatial(rank)), low=low, high=high, nan=nan)


def convolutions():
    def conv(name, c, m, kernel, bias=True, groups=1, side=None, batch=1, **attributes):
        rank = len(kernel) + 2
        weights = [(m, c // groups, *kernel)] + ([(m,)] if bias else [])
        if groups > 1:
            attributes["group"] = groups
        single(f"conv{len(kernel)}d_{name}", "Conv", *weights, rank=rank, channels=c, batch=batch, shape=(batch, c, *spatial(rank, side)), **attributes)

    conv("k3", 3, 5, (3, 3), pads=[1, 1, 1, 1])
    conv("k3_valid", 4, 6, (3, 3), bias=False, batch=2)
    conv("k1", 17, 4, (1, 1))
    conv("k5_asymmetric", 2, 3, (5, 5), pads=[2, 0, 1, 3])
    conv("k7_s2", 3, 16, (7, 7), pads=[3, 3, 3, 3], strides=[2, 2], side=9)
    conv("k3_s2", 16, 18, (3, 3), pads=[1, 1, 1, 1], strides=[2, 2])
    conv("k2_s2", 4, 4, (2, 2), strides=[2, 2])
    conv("k3_dilated", 3, 3, (3, 3), pads=[2, 3, 2, 3], dilations=[2, 3])
    conv("groups2", 6, 8, (3, 3), groups=2, pads=[1, 1, 1, 1])
    conv("depthwise", 20, 20, (3, 3), groups=20, pads=[1, 1, 1, 1])
    conv("depthwise_multiplier", 3, 6, (3, 3), groups=3, pads=[1, 1, 1, 1], strides=[2, 1])
    conv("k1x3", 3, 4, (1, 3), pads=[0, 1, 0, 1])
    conv("k19", 1, 2, (19, 19), pads=[9, 9, 9, 9])
    conv("groups_of_16", 32, 64, (3, 3), groups=2, pads=[1, 1, 1, 1], side=4)
    conv("groups_of_3", 21, 14, (3, 3), groups=7, pads=[1, 1, 1, 1], strides=[2, 1])
    conv("k4_even", 3, 4, (4, 4), pads=[1, 2, 2, 1])
    conv("same_upper", 2, 3, (4, 3), auto_pad="SAME_UPPER", strides=[2, 2])
    conv("same_lower", 2, 3, (4, 3), auto_pad="SAME_LOWER", strides=[2, 2])
    conv("auto_valid", 2, 3, (2, 3), auto_pad="VALID")
    conv("batch8", 3, 16, (3, 3), pads=[1, 1, 1, 1], batch=8, side=4)
    conv("k3", 2, 3, (3,), pads=[1, 1])
    conv("k3", 4, 5, (3, 3, 3), pads=[1] * 6)
    conv("first", 1, 16, (3, 3, 3), pads=[1] * 6, side=4)
    conv("k3_c16", 16, 16, (3, 3, 3), pads=[1] * 6, side=5)
    conv("k3_c17", 9, 17, (3, 3, 3), pads=[1] * 6, side=3, batch=2)
    conv("k1x3x3_c33", 17, 33, (1, 3, 3), pads=[0, 1, 1, 0, 1, 1], side=3)
    conv("k3_valid", 3, 4, (3, 3, 3))
    conv("k3_s2", 5, 17, (3, 3, 3), pads=[1] * 6, strides=[2, 2, 2], side=6)
    conv("k1_head", 16, 33, (1, 1, 1), side=4)
    conv("k1_s2", 4, 5, (1, 1, 1), strides=[2, 2, 2], bias=False)
    conv("anisotropic", 3, 4, (1, 3, 3), pads=[0, 1, 1, 0, 1, 1], strides=[1, 2, 2])
    conv("k3_dilated4", 5, 5, (3, 3, 3), pads=[4] * 6, dilations=[4, 4, 4], side=7)
    conv("k3_dilated_valid", 2, 3, (3, 3, 3), dilations=[2, 1, 2], side=6)
    conv("k5", 2, 3, (5, 5, 5), pads=[2] * 6, side=6)
    conv("k7", 1, 2, (7, 7, 7), pads=[3] * 6, side=7)
    conv("depthwise", 17, 17, (3, 3, 3), groups=17, pads=[1] * 6, side=5)
    conv("groups3", 6, 9, (3, 3, 3), groups=3, pads=[1] * 6, side=4)
    conv("asymmetric", 2, 3, (3, 3, 3), pads=[0, 1, 2, 2, 1, 0], strides=[2, 1, 2])

    def transposed(name, c, m, kernel, bias=True, groups=1, side=4, batch=1, **attributes):
        rank = len(kernel) + 2
        weights = [(c, m // groups, *kernel)] + ([(m,)] if bias else [])
        if groups > 1:
            attributes["group"] = groups
        single(f"convtranspose{len(kernel)}d_{name}", "ConvTranspose", *weights, rank=rank, channels=c, shape=(batch, c, *spatial(rank, side)), **attributes)

    transposed("k2s2", 6, 3, (2, 2), strides=[2, 2])
    transposed("k2s2_c17", 17, 20, (2, 2), strides=[2, 2], bias=False, batch=2, side=3)
    transposed("k3s2_tf", 4, 3, (3, 3), strides=[2, 2], pads=[0, 0, 1, 1])
    transposed("k3s2_torch", 4, 3, (3, 3), strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])
    transposed("k4s2", 3, 4, (4, 4), strides=[2, 2], pads=[1, 1, 1, 1])
    transposed("k3s1", 3, 4, (3, 3), pads=[1, 1, 1, 1])
    transposed("k5s3_dilated", 2, 3, (3, 2), strides=[3, 2], dilations=[2, 3], pads=[1, 0, 0, 2])
    transposed("groups2", 4, 6, (2, 2), strides=[2, 2], groups=2)
    transposed("output_shape", 2, 2, (3, 3), strides=[2, 2], output_shape=[8, 12])
    transposed("same_upper", 2, 2, (3, 3), strides=[2, 2], auto_pad="SAME_UPPER")
    transposed("k2s2", 5, 4, (2, 2, 2), strides=[2, 2, 2])
    transposed("k3s2_tf", 4, 3, (3, 3, 3), strides=[2, 2, 2], pads=[0, 0, 0, 1, 1, 1])
    transposed("k3s2_torch", 3, 17, (3, 3, 3), side=3, strides=[2, 2, 2], pads=[1] * 6, output_padding=[1, 1, 1])
    transposed("anisotropic", 3, 4, (1, 2, 2), strides=[1, 2, 2])
    transposed("k4s2", 2, 3, (4, 4, 4), strides=[2, 2, 2], pads=[1] * 6)


def pools():
    single("maxpool2d_k2s2", "MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    single("maxpool2d_k3s2p1", "MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], channels=18)
    single("maxpool2d_ceil", "MaxPool", kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1)
    single("maxpool2d_dilated", "MaxPool", kernel_shape=[3, 2], dilations=[2, 3], pads=[1, 0, 1, 1])
    single("maxpool2d_same", "MaxPool", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
    single("maxpool3d_k2s2", "MaxPool", kernel_shape=[2, 2, 2], strides=[2, 2, 2], rank=5, channels=5)
    single("maxpool3d_anisotropic", "MaxPool", kernel_shape=[1, 2, 2], strides=[1, 2, 2], rank=5)
    single("maxpool3d_k3", "MaxPool", kernel_shape=[3, 3, 3], strides=[1, 2, 1], pads=[1] * 6, rank=5, channels=2)
    single("averagepool2d_k2s2", "AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    single("averagepool2d_exclude", "AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    single("averagepool2d_include", "AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)
    single("averagepool2d_ceil", "AveragePool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    single("averagepool3d_k2s2", "AveragePool", kernel_shape=[2, 2, 2], strides=[2, 2, 2], rank=5)
    single("averagepool3d_k3p1", "AveragePool", kernel_shape=[3, 3, 3], strides=[1, 1, 1], pads=[1] * 6, rank=5)
    single("globalaveragepool2d", "GlobalAveragePool")
    single("globalaveragepool3d", "GlobalAveragePool", rank=5, channels=4)
    single("globalmaxpool3d", "GlobalMaxPool", rank=5)


def normalizations():
    rng = np.random.default_rng(5)
    f = lambda *s: rng.uniform(0.5, 1.5, s).astype(np.float32)
    single("batchnorm3d", "BatchNormalization", f(4), f(4), f(4), f(4), rank=5, channels=4, epsilon=1e-3)
    single("instancenorm2d", "InstanceNormalization", f(3), f(3), batch=2)
    single("instancenorm3d_c17", "InstanceNormalization", f(17), f(17), rank=5, channels=17, epsilon=1e-3, shape=(1, 17, 3, 4, 5))
    single("groupnorm21", "GroupNormalization", f(6), f(6), rank=5, channels=6, num_groups=3, opset=21)
    single("groupnorm18", "GroupNormalization", f(3), f(3), rank=4, channels=6, num_groups=3, opset=18)
    single("layernorm_last", "LayerNormalization", f(9), f(9), epsilon=1e-4)
    single("layernorm_channels", "LayerNormalization", f(3, 7, 9), axis=1)

    b = Builder("conv_batchnorm", 5, 3)
    y = b.op("Conv", "x", b.weight(5, 3, 3, 3, 3), b.weight(5), pads=[1] * 6)
    y = b.op("BatchNormalization", y, b.constant(f(5)), b.constant(f(5)), b.constant(f(5)), b.constant(f(5)))
    CASES.add("conv_batchnorm", b.model(b.op("Relu", y)), (1, 3, 5, 6, 4))
    b = Builder("convtranspose_batchnorm", 4, 3)
    y = b.op("ConvTranspose", "x", b.weight(3, 5, 2, 2), strides=[2, 2])
    y = b.op("BatchNormalization", y, b.constant(f(5)), b.constant(f(5)), b.constant(f(5)), b.constant(f(5)))
    CASES.add("convtranspose_batchnorm", b.model(y), (2, 3, 5, 4))
    b = Builder("conv_shared_batchnorm", 4, 3)
    y = b.op("Conv", "x", b.weight(3, 3, 3, 3), pads=[1] * 4)
    z = b.op("BatchNormalization", y, b.constant(f(3)), b.constant(f(3)), b.constant(f(3)), b.constant(f(3)))
    CASES.add("conv_shared_batchnorm", b.model(b.op("Add", y, z)), (1, 3, 5, 6))
    b = Builder("groupnorm_exported", 5, 6)
    y = b.op("Reshape", "x", b.constant(np.array([0, 2, -1], np.int64)))
    y = b.op("InstanceNormalization", y, b.constant(np.ones(2, np.float32)), b.constant(np.zeros(2, np.float32)))
    y = b.op("Reshape", y, b.op("Shape", "x"))
    y = b.op("Add", b.op("Mul", y, b.constant(f(6, 1, 1, 1))), b.constant(f(6, 1, 1, 1)))
    CASES.add("groupnorm_exported", b.model(y), (2, 6, 3, 5, 4))


def activations():
    for kind, attributes in [
        ("Relu", {}), ("LeakyRelu", {"alpha": 0.1}), ("Elu", {"alpha": 1.3}), ("Sigmoid", {}), ("Tanh", {}), ("Erf", {}), ("Exp", {}),
        ("HardSigmoid", {"alpha": 0.3}), ("HardSwish", {}), ("Selu", {}), ("Softplus", {}), ("Softsign", {}), ("Abs", {}), ("Neg", {}),
        ("Floor", {}), ("Ceil", {}), ("Round", {}), ("Reciprocal", {}), ("Celu", {"alpha": 0.7}), ("ThresholdedRelu", {"alpha": 0.4}),
    ]:
        if kind in ("Softsign", "Celu", "ThresholdedRelu"):
            continue
        single(f"activation_{kind.lower()}", kind, **attributes)
    single("activation_mish", "Mish", opset=18)
    single("activation_gelu", "Gelu", opset=20)
    single("activation_gelu_tanh", "Gelu", opset=20, approximate="tanh")
    single("activation_sqrt", "Sqrt", low=0.01, high=3)
    single("activation_log", "Log", low=0.01, high=3)
    single("activation_clip", "Clip", np.float32(-0.5), np.float32(0.75))
    single("activation_clip_min", "Clip", np.float32(-0.5))
    single("activation_clip6", "Clip", min=0.0, max=0.5, opset=9)
    single("prelu_channel", "PRelu", (3, 1, 1))
    single("prelu_scalar", "PRelu", (1,), rank=5)
    single("softmax_channels", "Softmax", axis=1, rank=5, channels=18, shape=(1, 18, 3, 4, 2))
    single("softmax_last", "Softmax")
    single("softmax_opset11", "Softmax", axis=1, opset=11)
    single("logsoftmax", "LogSoftmax", axis=1)

    def gelu(name, build):
        b = Builder(name, 4, 3)
        CASES.add(name, b.model(build(b, lambda v: b.constant(np.float32(v)))), (1, 3, 7, 9))

    root = float(np.sqrt(2.0))
    gelu("gelu_torch", lambda b, c: b.op("Mul", b.op("Mul", "x", b.op("Add", b.op("Erf", b.op("Div", "x", c(root))), c(1))), c(0.5)))
    gelu("gelu_dynamo", lambda b, c: b.op("Mul", "x", b.op("Mul", c(0.5), b.op("Add", b.op("Erf", b.op("Div", "x", c(root))), c(1)))))
    gelu("gelu_half_first", lambda b, c: b.op("Mul", b.op("Mul", "x", c(0.5)), b.op("Add", c(1), b.op("Erf", b.op("Mul", "x", c(1 / root))))))
    gelu("gelu_almost", lambda b, c: b.op("Mul", b.op("Mul", "x", b.op("Add", b.op("Erf", b.op("Div", "x", c(1.5))), c(1))), c(0.5)))
    gelu("swish", lambda b, c: b.op("Mul", "x", b.op("Sigmoid", "x")))
    gelu("hardswish_clip", lambda b, c: b.op("Div", b.op("Mul", "x", b.op("Clip", b.op("Add", "x", c(3)), c(0), c(6))), c(6)))


def arithmetic():
    for kind in ("Add", "Sub", "Mul", "Div", "Min", "Max"):
        b = Builder(f"binary_{kind.lower()}", 5, 3, inputs=2)
        CASES.add(b.name, b.model(b.op(kind, "x", "x1")), [(2, 3, 3, 4, 5)] * 2)
    single("binary_add_channel", "Add", (1, 3, 1, 1))
    single("binary_mul_scalar", "Mul", ())
    single("binary_pow", "Pow", np.float32(3))
    single("binary_div_row", "Div", np.linspace(0.5, 2, 9, dtype=np.float32))
    b = Builder("binary_constant_first", 4, 3)
    CASES.add(b.name, b.model(b.op("Sub", b.constant(np.float32(1)), "x")), (1, 3, 4, 5))
    b = Builder("binary_gate", 4, 3)
    gate = b.op("Sigmoid", b.op("Conv", "x", b.weight(1, 3, 1, 1)))
    CASES.add(b.name, b.model(b.op("Mul", "x", gate)), (2, 3, 4, 5))
    b = Builder("squeeze_excite", 5, 4)
    s = b.op("Relu", b.op("Conv", b.op("GlobalAveragePool", "x"), b.weight(2, 4, 1, 1, 1)))
    CASES.add(b.name, b.model(b.op("Mul", "x", b.op("Sigmoid", b.op("Conv", s, b.weight(4, 2, 1, 1, 1))))), (1, 4, 5, 4, 3))
    single("matmul_constant", "MatMul", (9, 4))
    b = Builder("gemm", 2, 5)
    CASES.add(b.name, b.model(b.op("Gemm", "x", b.weight(4, 5), b.weight(4), transB=1)), (3, 5))
    b = Builder("sum_of_three", 4, 3, inputs=2)
    CASES.add(b.name, b.model(b.op("Sum", "x", "x1", b.weight(3, 1, 1))), [(1, 3, 4, 5)] * 2)


def shapes():
    i64 = lambda *v: np.array(v, np.int64)
    b = Builder("concat_channels", 5, 3, inputs=2)
    CASES.add(b.name, b.model(b.op("Concat", "x", "x1", "x", axis=1)), [(2, 3, 3, 4, 5)] * 2)
    b = Builder("concat_rows", 4, 3, inputs=2)
    CASES.add(b.name, b.model(b.op("Concat", "x", "x1", axis=-2)), [(1, 3, 3, 5), (1, 3, 4, 5)])
    single("slice_ends", "Slice", i64(2, 1), i64(-1, 1 << 62), i64(2, 3))
    single("slice_steps", "Slice", i64(1, 0), i64(7, 9), i64(2, -1), i64(2, 3))
    single("slice_flip", "Slice", i64(-1), i64(-(1 << 62)), i64(3), i64(-1))
    single("slice_channels", "Slice", i64(1), i64(3), i64(1), rank=5, channels=4)
    single("slice_opset9", "Slice", starts=[1, 2], ends=[-1, 100], axes=[2, 3], opset=9)
    single("pad_constant", "Pad", i64(0, 0, 1, 2, 0, 1, 0, 3), np.float32(1.5))
    single("pad_negative", "Pad", i64(0, 0, -1, 2, 0, 0, 0, -3))
    single("pad_reflect", "Pad", i64(0, 0, 1, 2, 0, 0, 3, 0), mode="reflect")
    single("pad_edge", "Pad", i64(0, 0, 0, 1, 2, 0, 0, 1, 0, 2), mode="edge", rank=5)
    single("pad_wrap", "Pad", i64(0, 0, 1, 2, 0, 0, 3, 0), mode="wrap", opset=19)
    single("pad_axes", "Pad", i64(1, 2, 0, 1), "", i64(2, -1), opset=18)
    single("pad_opset2", "Pad", pads=[0, 0, 1, 2, 0, 0, 0, 1], mode="constant", value=0.5, opset=10)
    single("transpose", "Transpose", perm=[0, 2, 3, 1])
    single("transpose_default", "Transpose", rank=5)
    single("reshape_rest", "Reshape", i64(0, -1, 3))
    single("flatten", "Flatten", axis=2)
    single("squeeze13", "Squeeze", i64(0), rank=5)
    single("unsqueeze13", "Unsqueeze", i64(0, -1))
    single("squeeze11", "Squeeze", axes=[0], opset=11)
    single("unsqueeze11", "Unsqueeze", axes=[2], opset=11)
    single("expand", "Expand", i64(2, 3, 7, 9), shape=(1, 3, 7, 1))
    single("reducemean13", "ReduceMean", axes=[2, 3], opset=13)
    single("reducemean18", "ReduceMean", i64(-1), keepdims=0, opset=18)
    single("reducemax13", "ReduceMax", axes=[1], keepdims=1, opset=13)
    single("reducesum13", "ReduceSum", i64(1, 2), keepdims=0)
    single("reducel2", "ReduceL2", axes=[1])
    single("argmax", "ArgMax", axis=1, rank=5, channels=5, out=TensorProto.INT64)
    single("depthtospace", "DepthToSpace", channels=8, blocksize=2)
    single("depthtospace_crd", "DepthToSpace", channels=8, blocksize=2, mode="CRD")
    b = Builder("split", 4, 5)
    p = b.op("Split", "x", b.constant(i64(2, 3)), axis=1, outputs=2)
    CASES.add(b.name, b.model(p[1], b.op("Neg", p[0])), (1, 5, 4, 3))
    b = Builder("split_even", 4, 6, opset=18)
    p = b.op("Split", "x", axis=1, outputs=3, num_outputs=3)
    CASES.add(b.name, b.model(b.op("Add", p[0], b.op("Mul", p[1], p[2]))), (1, 6, 4, 3))
    b = Builder("identity_dropout", 4, 3)
    CASES.add(b.name, b.model(b.op("Dropout", b.op("Relu", b.op("Identity", "x")))), (1, 3, 4, 5))
    b = Builder("identity_only", 4, 3)
    CASES.add(b.name, b.model(b.op("Identity", "x")), (1, 3, 4, 5))
    b = Builder("pad_conv", 5, 2)
    y = b.op("Pad", "x", b.constant(i64(0, 0, 1, 1, 1, 0, 0, 1, 1, 1)))
    CASES.add(b.name, b.model(b.op("Conv", y, b.weight(3, 2, 3, 3, 3))), (1, 2, 5, 4, 6))
    b = Builder("pad_reflect_conv", 4, 2)
    y = b.op("Pad", "x", b.constant(i64(0, 0, 1, 1, 0, 0, 1, 1)), mode="reflect")
    CASES.add(b.name, b.model(b.op("Conv", y, b.weight(3, 2, 3, 3))), (1, 2, 5, 4))


def resizes():
    f = lambda *v: np.array(v, np.float32)
    none = ("", np.array([], np.float32))
    for mode in ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"):
        single(f"resize2d_linear_{mode}", "Resize", "", f(1, 1, 2, 2), mode="linear", coordinate_transformation_mode=mode)
        single(f"resize3d_linear_{mode}", "Resize", "", f(1, 1, 2, 2, 2), mode="linear", coordinate_transformation_mode=mode, rank=5, channels=2, shape=(1, 2, 3, 4, 5))
    single("resize2d_linear_down", "Resize", "", f(1, 1, 0.5, 0.6), mode="linear")
    single("resize2d_linear_symmetric", "Resize", "", f(1, 1, 1.7, 0.6), mode="linear", coordinate_transformation_mode="half_pixel_symmetric", opset=19)
    single("resize3d_linear_sizes", "Resize", "", "", np.array([1, 2, 5, 7, 4], np.int64), mode="linear", rank=5, channels=2, shape=(1, 2, 3, 4, 5))
    single("resize3d_linear_c17", "Resize", "", f(1, 1, 2, 2, 2), mode="linear", rank=5, channels=17, shape=(1, 17, 2, 3, 2))
    single("resize2d_cubic", "Resize", "", f(1, 1, 2, 1.5), mode="cubic", cubic_coeff_a=-0.5)
    for mode in ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"):
        single(f"resize2d_cubic_{mode}", "Resize", "", f(1, 1, 0.5 if mode == "asymmetric" else 3, 2), mode="cubic", coordinate_transformation_mode=mode)
    for mode in ("asymmetric", "half_pixel", "align_corners"):
        for nearest in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil"):
            single(f"resize2d_nearest_{mode}_{nearest}", "Resize", "", f(1, 1, 1.7, 2), mode="nearest", coordinate_transformation_mode=mode, nearest_mode=nearest, channels=2, shape=(1, 2, 4, 5))
    single("resize3d_nearest", "Resize", "", f(1, 1, 2, 2, 2), mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor", rank=5, channels=4, shape=(2, 4, 3, 4, 2))
    single("resize3d_nearest_anisotropic", "Resize", "", f(1, 1, 1, 2, 3), mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor", rank=5, channels=2, shape=(1, 2, 3, 4, 2))
    single("resize2d_axes", "Resize", "", f(2, 3), mode="nearest", axes=[2, 3], coordinate_transformation_mode="asymmetric", nearest_mode="floor", opset=18)
    single("resize2d_opset10", "Resize", f(1, 1, 2, 2), mode="linear", opset=10)
    single("upsample9", "Upsample", f(1, 1, 2, 2), mode="nearest", opset=9)
    b = Builder("resize_to_skip", 5, 3)
    low = b.op("MaxPool", "x", kernel_shape=[2, 2, 2], strides=[2, 2, 2])
    low = b.op("Conv", low, b.weight(4, 3, 3, 3, 3), pads=[1] * 6)
    size = b.op("Slice", b.op("Shape", "x"), b.constant(np.array([2])), b.constant(np.array([5])))
    keep = b.op("Slice", b.op("Shape", low), b.constant(np.array([0])), b.constant(np.array([2])))
    up = b.op("Resize", low, "", "", b.op("Concat", keep, b.op("Cast", size, to=TensorProto.INT64), axis=0), mode="linear")
    CASES.add(b.name, b.model(b.op("Concat", "x", up, axis=1)), (1, 3, 4, 6, 8), (1, 3, 5, 4, 7))
    b = Builder("resize_traced_scale", 4, 2, opset=11)
    dims = [b.op("Gather", b.op("Shape", "x"), b.constant(np.int64(i)), axis=0) for i in (2, 3)]
    two = b.constant(np.float32(2))
    dims = [b.op("Cast", b.op("Floor", b.op("Mul", b.op("Cast", d, to=1), two)), to=7) for d in dims]
    dims = [b.op("Unsqueeze", d, axes=[0]) for d in dims]
    head = b.op("Slice", b.op("Shape", "x"), b.constant(np.array([0])), b.constant(np.array([2])))
    empty = b.constant(np.array([], np.float32))
    y = b.op("Resize", "x", empty, empty, b.op("Concat", head, *dims, axis=0), mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    CASES.add(b.name, b.model(y), (1, 2, 3, 4), (2, 2, 5, 2))


    b = Builder("shape_arithmetic", 4, 3)
    i64 = lambda *v: b.constant(np.array(v, np.int64))
    scalar = lambda v: b.constant(np.int64(v))
    size = b.op("Shape", "x")
    even = b.op("Equal", b.op("Mod", size, i64(2)), i64(0))
    padded = b.op("Where", even, size, b.op("Add", size, i64(1)))
    none = b.op("ConstantOfShape", b.op("Shape", size), value=helper.make_tensor("zero", TensorProto.INT64, [1], [0]))
    y = b.op("Pad", "x", b.op("Concat", none, b.op("Sub", padded, size), axis=0))
    spatial_axis = b.op("Not", b.op("Less", b.op("Range", scalar(0), scalar(4), scalar(1)), scalar(2)))
    small = b.op("Max", b.op("Abs", b.op("Neg", b.op("Div", padded, i64(4)))), i64(2))
    mixed = b.op("Where", b.op("And", spatial_axis, b.op("GreaterOrEqual", padded, i64(4))), small, padded)
    flat = b.op("Reshape", b.op("Transpose", b.op("Reshape", mixed, i64(2, 2)), perm=[1, 0]), i64(-1))
    sizes = b.op("Gather", flat, i64(0, 2, 1, 3), axis=0)
    y = b.op("Resize", y, "", "", sizes, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    tripled = b.op("Expand", b.op("Unsqueeze", b.op("Size", "x"), i64(0)), i64(3))
    CASES.add(b.name, b.model(b.op("Mul", y, b.op("Cast", b.op("Squeeze", b.op("Slice", tripled, i64(1), i64(2)), i64(0)), to=1))), (2, 3, 9, 16))


def not_numbers():
    """NaN in, NaN out where ONNX Runtime has it. Not for MaxPool, whose NaN there depends on the place in the window."""
    f = lambda *s: np.linspace(0.5, 1.5, int(np.prod(s)), dtype=np.float32).reshape(s)
    for kind in ("Relu", "LeakyRelu", "Elu", "Selu", "Sigmoid", "Tanh", "Erf", "Exp", "HardSigmoid", "HardSwish", "Softplus", "Softmax"):
        single(f"nan_{kind.lower()}", kind, nan=True, channels=5, **({"axis": 1} if kind == "Softmax" else {}))
    single("nan_prelu", "PRelu", (3, 1, 1), nan=True)
    single("nan_clip", "Clip", np.float32(-0.5), np.float32(0.75), nan=True)
    single("nan_min", "Min", np.float32(0.1), nan=True)
    single("nan_max", "Max", np.float32(0.1), nan=True)
    single("nan_add", "Add", (1, 3, 1, 1), nan=True)
    single("nan_conv", "Conv", (17, 3, 3, 3, 3), (17,), rank=5, pads=[1] * 6, nan=True)
    single("nan_conv_first", "Conv", (16, 1, 3, 3, 3), rank=5, channels=1, pads=[1] * 6, nan=True)
    single("nan_conv_groups", "Conv", (32, 16, 3, 3), channels=32, group=2, pads=[1] * 4, nan=True)
    single("nan_conv_depthwise", "Conv", (5, 1, 3, 3), channels=5, group=5, pads=[1] * 4, nan=True)
    single("nan_convtranspose", "ConvTranspose", (3, 4, 2, 2), strides=[2, 2], nan=True)
    single("nan_averagepool", "AveragePool", kernel_shape=[2, 2], strides=[2, 2], nan=True)
    single("nan_instancenorm", "InstanceNormalization", f(5), f(5), channels=5, nan=True)
    single("nan_resize", "Resize", "", np.array([1, 1, 2, 2], np.float32), mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor", nan=True)


def stored_types():
    b = Builder("weights_f16_cast", 4, 3)
    w = b.op("Cast", b.weight(4, 3, 3, 3, dtype=np.float16), to=TensorProto.FLOAT)
    CASES.add(b.name, b.model(b.op("Conv", "x", w, pads=[1] * 4)), (1, 3, 5, 6))
    b = Builder("weights_f64_cast", 4, 3)
    w = b.op("Cast", b.weight(4, 3, 1, 1, dtype=np.float64), to=TensorProto.FLOAT)
    CASES.add(b.name, b.model(b.op("Conv", "x", w)), (1, 3, 5, 6))
    b = Builder("constant_node", 4, 3)
    w = b.op("Constant", value=numpy_helper.from_array(b.rng.standard_normal((2, 3, 1, 1)).astype(np.float32)))
    s = b.op("Constant", value_float=0.25)
    CASES.add(b.name, b.model(b.op("Mul", b.op("Conv", "x", w), s)), (1, 3, 5, 6))
    b = Builder("weights_typed_fields", 4, 3)
    values = b.rng.standard_normal((2, 3, 1, 1))
    b.weights.append(helper.make_tensor("typed", TensorProto.FLOAT, [2, 3, 1, 1], values.ravel().tolist()))
    b.weights.append(helper.make_tensor("half", TensorProto.FLOAT16, [2, 1, 1], [0.5, -1.5]))
    y = b.op("Add", b.op("Conv", "x", "typed"), b.op("Cast", "half", to=TensorProto.FLOAT))
    CASES.add(b.name, b.model(y), (1, 3, 5, 6))
    b = Builder("weights_arithmetic", 4, 3)
    w = b.op("Mul", b.weight(4, 3, 3, 3), b.op("Div", b.weight(4, 1, 1, 1), b.op("Sqrt", b.constant(np.full((4, 1, 1, 1), 2, np.float32)))))
    CASES.add(b.name, b.model(b.op("Conv", "x", w)), (1, 3, 5, 6))
    b = Builder("weights_transposed", 4, 3)
    w = b.op("Transpose", b.weight(3, 3, 3, 4), perm=[3, 0, 1, 2])
    CASES.add(b.name, b.model(b.op("Conv", "x", w)), (1, 3, 5, 6))
    quantized_weights()
    b = Builder("half_inside", 4, 3)
    h = b.op("Cast", "x", to=TensorProto.FLOAT16)
    h = b.op("Relu", b.op("Conv", h, b.weight(4, 3, 3, 3, dtype=np.float16), pads=[1] * 4))
    CASES.add(b.name, b.model(b.op("Cast", h, to=TensorProto.FLOAT)), (1, 3, 5, 6))


def quantized_weights():
    """Weights of one byte, which constants scale: as export.py writes them, and as quantizers of others do."""
    def bytes_of(b, *shape, dtype=np.int8):
        limits = np.iinfo(dtype)
        return b.constant(b.rng.integers(limits.min, limits.max + 1, shape).astype(dtype))

    def scales(b, *shape):
        return b.weight(*shape, low=0.001, high=0.003)

    def case(name, weight, rank=4, opset=17, shape=(1, 3, 5, 6), kind="Conv", **attributes):
        b = Builder(name, rank, 3, opset)
        CASES.add(name, b.model(b.op(kind, "x", weight(b), **attributes)), shape)

    def dequantized(b, x, *more, **attributes):
        return b.op("DequantizeLinear", x, *more, **attributes)

    case("weights_i8_scaled", lambda b: b.op("Mul", b.op("Cast", bytes_of(b, 5, 3, 3, 3, 3), to=TensorProto.FLOAT), scales(b, 5, 1, 1, 1, 1)),
         rank=5, shape=(1, 3, 4, 5, 3), pads=[1] * 6)
    case("weights_u8_tensor", lambda b: dequantized(b, bytes_of(b, 4, 3, 3, 3, dtype=np.uint8), scales(b), b.constant(np.uint8(117))), opset=10)
    case("weights_i8_tensor", lambda b: dequantized(b, bytes_of(b, 4, 3, 3, 3), scales(b)), opset=13)
    case("weights_i8_axis0", lambda b: dequantized(b, bytes_of(b, 4, 3, 3, 3), scales(b, 4), axis=0), opset=13)
    case("weights_u8_axis1", lambda b: dequantized(b, bytes_of(b, 3, 4, 2, 2, dtype=np.uint8), scales(b, 4), bytes_of(b, 4, dtype=np.uint8)),
         kind="ConvTranspose", strides=[2, 2], opset=19)
    case("weights_i16_axis", lambda b: dequantized(b, bytes_of(b, 4, 3, 1, 1, dtype=np.int16), scales(b, 4), axis=-4), opset=21)
    case("weights_i8_transposed", lambda b: b.op("Transpose", dequantized(b, b.op("Transpose", bytes_of(b, 4, 3, 3, 3), perm=[1, 2, 3, 0]), scales(b, 4), axis=3), perm=[3, 0, 1, 2]))
    case("weights_i8_joined", lambda b: dequantized(b, b.op("Concat", bytes_of(b, 2, 3, 1, 1), bytes_of(b, 3, 3, 1, 1), axis=0), scales(b)))
    b = Builder("bias_i32", 4, 3)
    w = dequantized(b, bytes_of(b, 4, 3, 3, 3), scales(b, 4), axis=0)
    bias = dequantized(b, b.constant(b.rng.integers(-90000, 90000, 4).astype(np.int32)), scales(b, 4), axis=0)
    CASES.add(b.name, b.model(b.op("Conv", "x", w, bias)), (1, 3, 5, 6))
    b = Builder("weights_i8_typed_field", 4, 3)
    b.weights.append(helper.make_tensor("typed", TensorProto.INT8, [2, 3, 1, 1], [-128, 127, -1, 0, 5, -77]))
    CASES.add(b.name, b.model(b.op("Conv", "x", dequantized(b, "typed", scales(b), b.constant(np.int8(-3))))), (1, 3, 5, 6))


def main():
    convolutions()
    pools()
    normalizations()
    activations()
    arithmetic()
    shapes()
    resizes()
    stored_types()
    not_numbers()
    CASES.save()


if __name__ == "__main__":
    main()
