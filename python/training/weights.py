"""Reads networks from exported ONNX files and from the training state."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from network import Config, UNet

_V0_NAMES = {
    "e0": "down.0.0.conv", "e1a": "down.1.0.conv", "e1b": "down.1.1.conv", "e2a": "down.2.0.conv",
    "e2b": "down.2.1.conv", "e3a": "down.3.0.conv", "e3b": "down.3.1.conv", "e4": "down.4.0.conv",
    "u3.p": "up.3.proj", "u2.p": "up.2.proj", "u1.p": "up.1.proj", "u0.p": "up.0.proj",
    "d3": "dec.3.0.conv", "d2": "dec.2.0.conv", "d1": "dec.1.0.conv", "d0": "dec.0.0.conv", "head": "head",
}  # fmt: skip
"""Layer names of the first published model, which carries no `config` in its metadata."""


def load_onnx(path: Path) -> UNet:
    """The network of a file written by export.py (whatever its `--store`), or of the first model `brain_v0.onnx`."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(path)
    arrays = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    meta = {p.key: p.value for p in model.metadata_props}
    if "config" in meta:
        config = Config.from_dict(json.loads(meta["config"]))
        state = {k.removesuffix(".fp16"): v for k, v in arrays.items()}
        for k in [k.removesuffix(".int8") for k in arrays if k.endswith(".int8")]:
            state[k] = arrays[k + ".int8"].astype(np.float32) * arrays[k + ".scale"]
    else:
        config = Config()
        kinds = {".w": ".weight", ".b": ".bias"}
        state = {_V0_NAMES[k[:-2]] + kinds[k[-2:]]: v for k, v in arrays.items() if k[:-2] in _V0_NAMES}
    net = UNet(config)
    own = net.state_dict()
    net.load_state_dict({k: torch.tensor(state[k]).float() for k in own})
    return net


def load_state(path: Path, averaged: bool = True) -> UNet:
    """The moving average (or the raw weights) of a state.pt of train.py."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    net = UNet(Config.from_dict(state["config"]))
    net.load_state_dict(state["ema" if averaged else "net"])
    return net


def load(path: Path, averaged: bool = True) -> UNet:
    return load_onnx(path) if path.suffix == ".onnx" else load_state(path, averaged)
