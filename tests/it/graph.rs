//! ONNX graphs against ONNX Runtime's golden shapes (written by `tests/oracle/make_onnx_*_cases.py`), and hostile bytes.

use proptest::prelude::*;
use proptest::sample::Index;
use serde::Deserialize;
use unet_vol::model::graph::{AxisFacts, Graph, set_metadata};
use unet_vol::{ErrorKind, Result};

use crate::support::{repository, shared};

#[derive(Deserialize)]
struct Case {
    name: String,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    inputs: Vec<Vec<usize>>,
    outputs: Vec<Vec<usize>>,
}

fn cases(folder: &str) -> Vec<(Case, Graph)> {
    let folder = repository("testdata/onnx").join(folder);
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(folder.join("cases.json")).unwrap()).unwrap();
    let load = |case: &Case| Graph::load(&folder.join(format!("{}.onnx", case.name))).unwrap_or_else(|e| panic!("{e}"));
    cases.into_iter().map(|case| (load(&case), case)).map(|(graph, case)| (case, graph)).collect()
}

#[test]
fn shapes_of_every_operator_and_network_are_those_of_onnx_runtime() {
    let all: Vec<_> = ["operators", "networks"].into_iter().flat_map(cases).collect();
    assert_eq!(all.len(), 250 + 22);
    let mut wrong = Vec::new();
    for (case, graph) in &all {
        for run in &case.runs {
            match graph.network(&run.inputs) {
                Err(error) => wrong.push(format!("{}: {error}", case.name)),
                Ok(network) => {
                    let shapes: Vec<_> = network.outputs.iter().map(|&id| network.shape(id).to_vec()).collect();
                    if shapes != run.outputs {
                        wrong.push(format!("{}: {shapes:?} is not {:?}", case.name, run.outputs));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[derive(Deserialize)]
struct ModelRun {
    model: String,
    input: Vec<usize>,
    output: Option<Vec<usize>>,
}

/// `testdata/onnx/models.json` is written by `tests/oracle/make_onnx_model_shapes.py`.
#[test]
fn shapes_of_the_shared_models_are_those_of_onnx_runtime() {
    let runs: Vec<ModelRun> =
        serde_json::from_slice(&std::fs::read(repository("testdata/onnx/models.json")).unwrap()).unwrap();
    assert_eq!(runs.len(), 22);
    let mut seen = std::collections::BTreeSet::new();
    for run in runs {
        let Some(path) = shared(&run.model) else { continue };
        let graph = Graph::load(&path).unwrap();
        match (graph.network(std::slice::from_ref(&run.input)), run.output) {
            (Ok(network), Some(shape)) => assert_eq!(network.shape(network.outputs[0]), shape, "{}", run.model),
            (Err(error), None) => assert_eq!(error.kind(), ErrorKind::Model),
            (result, expected) => panic!("{} on {:?}: {result:?} is not {expected:?}", run.model, run.input),
        }
        seen.insert(run.model);
    }
    if let Some(folder) = shared("data/models") {
        let stored = std::fs::read_dir(folder).unwrap().filter(|e| {
            let name = e.as_ref().unwrap().file_name();
            name.to_string_lossy().ends_with(".onnx")
        });
        assert_eq!(stored.count() + 1, seen.len());
    }
}

fn facts(path: &str) -> (Vec<AxisFacts>, bool, f64) {
    let path =
        path.strip_prefix("shared:").map_or_else(|| Some(repository("testdata/onnx/networks").join(path)), shared);
    let facts = Graph::load(&path.unwrap()).unwrap().facts().unwrap();
    let exact = facts.exact_tiling();
    (facts.axes, exact, facts.operations_per_voxel)
}

#[test]
fn the_unet_of_2015_turns_572_into_388() {
    for name in ["unet2015_torchscript.onnx", "unet2015_dynamo.onnx"] {
        let (axes, exact, _) = facts(name);
        assert!(exact && axes.len() == 2);
        for axis in axes {
            assert_eq!(axis.output_size(572), Some(388));
            assert_eq!((axis.margin, axis.stride, axis.output_step), ([92, 92], 16, 1));
            assert_eq!(axis.tiles.to_string(), "16 n + 12 from 188 on");
            assert_eq!(axis.tiles.nearest(580), (Some(572), Some(588)));
            assert_eq!(axis.tiles.nearest(100), (None, Some(188)));
        }
    }
}

#[test]
fn facts_of_padded_networks() {
    let rule = |axes: &[AxisFacts]| axes.iter().map(|axis| axis.sizes.to_string()).collect::<Vec<_>>();
    let (axes, exact, _) = facts("nnunet3d_torchscript.onnx");
    assert!(!exact, "instance normalization sees the whole image");
    assert_eq!(rule(&axes), ["multiples of 2", "multiples of 4", "multiples of 4"]);
    assert_eq!(rule(&facts("monai_dynamo.onnx").0), ["multiples of 4"; 3]);
    let (axes, exact, _) = facts("resize_bilinear_dynamo18.onnx");
    assert!(exact && axes[0].sizes.contains(7) && !axes[0].tiles.contains(7), "tiles keep to the stride");
    assert!(!facts("resize_corners_dynamo18.onnx").1, "aligned corners scale with the size");
    assert!(!facts("attention_dynamo.onnx").1 && !facts("groupnorm_torchscript.onnx").1);
    assert_eq!(rule(&facts("nnunet2d_fixed.onnx").0), ["exactly 16"; 2]);
}

/// Radii are those of `data/models/README.md`; operations were counted from the layers' shapes by hand.
#[test]
fn facts_of_the_shared_models() {
    let models = [
        ("data/models/meshnet_gw3_light.onnx", 46, "any size from 1 on", true, 5550.0),
        ("data/models/meshnet_aparc104.onnx", 45, "any size from 1 on", true, 86100.0),
        ("data/models/mindgrab.onnx", 155, "any size from 1 on", false, 146_235.0),
        ("data/models/deepbrain_v1.onnx", 30, "multiples of 8", true, 10_646.0),
        ("models/brain_v0.onnx", 61, "multiples of 16", true, 22_320.0),
    ];
    for (name, halo, sizes, tileable, operations) in models {
        if shared(name).is_none() {
            continue;
        }
        let (axes, exact, per_voxel) = facts(&format!("shared:{name}"));
        assert_eq!(axes.len(), 3);
        assert!(axes.iter().all(|axis| axis.halo[0] == halo && axis.sizes.to_string() == sizes), "{name}: {axes:?}");
        assert_eq!((exact, per_voxel.round()), (tileable, operations), "{name}");
        assert_eq!(axes[0].margin, [0, 0]);
    }
}

#[test]
fn advice_names_the_nearest_sizes() {
    let graph = Graph::load(&repository("testdata/onnx/networks/nnunet2d_batchnorm.onnx")).unwrap();
    let facts = graph.facts().unwrap();
    assert_eq!(facts.advice(&[16, 24]), None);
    let advice = facts.advice(&[16, 21]).unwrap();
    assert_eq!(advice, "spatial axis 1 takes multiples of 4: give it 20 or 24 voxels instead of 21");
}

/// Just enough protobuf to write models that no library would write.
mod wire {
    pub(super) fn varint(mut value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        out.push(value.to_le_bytes()[0]);
        out
    }

    pub(super) fn int(number: u64, value: i64) -> Vec<u8> {
        [varint(number << 3), varint(value as u64)].concat()
    }

    pub(super) fn bytes(number: u64, content: impl AsRef<[u8]>) -> Vec<u8> {
        let content = content.as_ref();
        [varint(number << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
    }

    pub(super) fn tensor(name: &str, dims: &[i64], kind: i64, rest: &[u8]) -> Vec<u8> {
        let dims: Vec<u8> = dims.iter().flat_map(|&d| int(1, d)).collect();
        [dims, int(2, kind), bytes(8, name), rest.to_vec()].concat()
    }

    pub(super) fn node(operator: &str, inputs: &[&str], outputs: &[&str], attributes: &[Vec<u8>]) -> Vec<u8> {
        let inputs = inputs.iter().flat_map(|name| bytes(1, name));
        let outputs = outputs.iter().flat_map(|name| bytes(2, name));
        let attributes = attributes.iter().flat_map(|a| bytes(5, a));
        bytes(1, inputs.chain(outputs).chain(bytes(4, operator)).chain(attributes).collect::<Vec<_>>())
    }

    pub(super) fn ints(name: &str, values: &[i64]) -> Vec<u8> {
        let values: Vec<u8> = values.iter().flat_map(|&v| int(8, v)).collect();
        [bytes(1, name), values, int(20, 7)].concat()
    }

    /// A model with input `x [1, 1, 8, 8]`, output `y`, and the given parts of its graph.
    pub(super) fn model(parts: &[Vec<u8>]) -> Vec<u8> {
        let dims: Vec<u8> = [1, 1, 8, 8].iter().flat_map(|&n| bytes(1, int(1, n))).collect();
        let float = bytes(2, bytes(1, [int(1, 1), bytes(2, dims)].concat()));
        let graph = [parts.concat(), bytes(11, [bytes(1, "x"), float].concat()), bytes(12, bytes(1, "y"))].concat();
        [int(1, 8), bytes(8, int(2, 17)), bytes(7, graph)].concat()
    }
}

fn refused(result: Result<impl std::fmt::Debug>, words: &str) {
    let error = result.expect_err(words);
    assert_eq!(error.kind(), ErrorKind::Model, "{error}");
    assert!(error.to_string().contains(words), "{error} does not say {words:?}");
}

#[test]
fn files_that_are_no_model_are_one_sentence() {
    let whole = std::fs::read(repository("testdata/onnx/operators/conv2d_k3.onnx")).unwrap();
    for bytes in [&b""[..], b"\x1f\x8b\x08\0\0\0", b"version https://git-lfs.github.com/spec/v1", &[0xff; 64]] {
        refused(Graph::parse(bytes.to_vec()), "no ONNX model");
    }
    for length in 0..whole.len() {
        if let Ok(graph) = Graph::parse(whole[..length].to_vec()) {
            assert!(graph.network(&[vec![1, 3, 7, 9]]).is_ok(), "cut behind the graph");
        }
    }
    refused(Graph::parse(wire::bytes(7, wire::bytes(2, "empty"))), "no output");
}

#[test]
fn contradictions_are_refused() {
    use wire::{bytes, int, ints, model, node, tensor};
    let relu = || node("Relu", &["x"], &["y"], &[]);
    let weight = |dims: &[i64], kind: i64, rest: &[u8]| bytes(5, tensor("w", dims, kind, rest));
    let parse = |parts: &[Vec<u8>]| Graph::parse(model(parts));
    refused(parse(&[node("Relu", &["z"], &["y"], &[]), node("Relu", &["y"], &["z"], &[])]), "cycle");
    refused(parse(&[node("Relu", &["nowhere"], &["y"], &[])]), "which nothing gives");
    refused(parse(&[]), "nothing gives the output");
    refused(parse(&[relu(), relu()]), "twice");
    refused(parse(&[relu(), weight(&[1], 1, &bytes(9, [0; 4])), weight(&[1], 1, &bytes(9, [0; 4]))]), "twice");
    refused(parse(&[relu(), weight(&[2, 3], 1, &bytes(9, [0; 20]))]), "holds 5 values, not 6");
    refused(parse(&[relu(), weight(&[2], 1, &bytes(9, [0; 7]))]), "holds 1 values, not 2");
    refused(parse(&[relu(), weight(&[-2], 1, &[])]), "negative");
    refused(parse(&[relu(), weight(&[1 << 40, 1 << 40], 1, &[])]), "absurd");
    refused(parse(&[relu(), weight(&[1 << 29], 1, &bytes(9, [0; 8]))]), "holds 2 values, not 536870912");
    refused(parse(&[relu(), weight(&[1], 8, &[])]), "element type 8");
    refused(
        parse(&[
            relu(),
            weight(&[4], 1, &[bytes(13, [bytes(1, "location"), bytes(2, "w.bin")].concat()), int(14, 1)].concat()),
        ]),
        "another file",
    );
    let huge = weight(&[2], 7, &bytes(9, [[0, 0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 1, 0, 0, 0]].concat()));
    refused(parse(&[huge.clone(), node("ConstantOfShape", &["w"], &["y"], &[])]), "absurd");
    let convolution = |dims: &[i64], attributes: &[Vec<u8>]| {
        let count: i64 = dims.iter().product();
        let raw = bytes(9, vec![0; 4 * usize::try_from(count).unwrap()]);
        parse(&[weight(dims, 1, &raw), node("Conv", &["x", "w"], &["y"], attributes)])?.network(&[vec![1, 1, 8, 8]])
    };
    assert!(convolution(&[2, 1, 3, 3], &[]).is_ok());
    refused(convolution(&[2, 2, 3, 3], &[]), "weights of shape");
    refused(convolution(&[2, 1, 9, 9], &[]), "needs 9 elements");
    refused(convolution(&[2, 1, 3, 3], &[ints("strides", &[0, 1])]), "strides");
    refused(convolution(&[2, 1, 3, 3], &[ints("pads", &[1 << 60, 0, 0, 0])]), "pads");
    refused(convolution(&[2, 1, 3, 3], &[ints("dilations", &[1])]), "dilations");
    refused(convolution(&[0, 1, 3, 3], &[]), "weights of shape");
}

#[test]
fn an_unknown_operator_is_named_and_the_rest_can_be_read() {
    use wire::{bytes, model, node};
    let mut nested = bytes(2, "innermost");
    for _ in 0..2000 {
        nested = bytes(1, bytes(5, [bytes(1, "then_branch"), bytes(6, nested)].concat()));
    }
    let branch = [bytes(1, "then_branch"), bytes(6, nested)].concat();
    let parts = [node("Relu", &["x"], &["c"], &[]), node("If", &["c"], &["y"], &[branch])];
    let bytes = set_metadata(&model(&parts), "unet_vol.spec", "{}").unwrap();
    let graph = Graph::parse(bytes).unwrap();
    assert_eq!(graph.metadata()["unet_vol.spec"], "{}");
    assert_eq!(graph.operators()["If"], 1);
    assert_eq!(graph.inputs().next().unwrap().shape, [Some(1), Some(1), Some(8), Some(8)]);
    let error = graph.network(&[vec![1, 1, 8, 8]]).unwrap_err();
    assert_eq!(error.message(), "If \"y\" is an operator that is not supported");
    assert_eq!(error.advice(), Some("use --engine onnxruntime"));
    assert!(graph.facts().is_err());
    refused(graph.network(&[vec![1, 1, 8, 9]]), "is [1, 1, 8, 8], not [1, 1, 8, 9]");
}

#[test]
fn external_weights_stay_inside_the_folder() {
    use wire::{bytes, int, model, node, tensor};
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("model");
    std::fs::create_dir(&folder).unwrap();
    let values: Vec<u8> = [9.0_f32, 1.5, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    std::fs::write(folder.join("w.bin"), &values).unwrap();
    std::fs::write(outer.path().join("w.bin"), &values).unwrap();
    let load = |location: &str, dims: &[i64], offset: &str| {
        let entry = |key: &str, value: &str| bytes(13, [bytes(1, key), bytes(2, value)].concat());
        let rest = [entry("location", location), entry("offset", offset), int(14, 1)].concat();
        let parts = [bytes(5, tensor("w", dims, 1, &rest)), node("Mul", &["x", "w"], &["y"], &[])];
        std::fs::write(folder.join("m.onnx"), model(&parts)).unwrap();
        Graph::load(&folder.join("m.onnx"))
    };
    let network = load("w.bin", &[2, 1], "4").unwrap().network(&[vec![1, 1, 8, 8]]);
    refused(network, "do not fit");
    let network = load("./w.bin", &[1], "4").unwrap().network(&[vec![1, 1, 8, 8]]).unwrap();
    assert_eq!(*network.constants.values().next().unwrap().data.get(), [1.5]);
    refused(load("../w.bin", &[1], "0"), "outside the folder");
    refused(load("/etc/hostname", &[1], "0"), "outside the folder");
    refused(load("missing.bin", &[1], "0"), "no such file");
    refused(load("w.bin", &[1 << 28], "0"), "ends too early");
    refused(load("w.bin", &[1 << 29], "0"), "has 536870912 values, more than 536870911");
    refused(load("w.bin", &[1], "18446744073709551615"), "ends too early");
    refused(load("w.bin", &[1], "-4"), "no readable place");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(outer.path().join("w.bin"), folder.join("link.bin")).unwrap();
        refused(load("link.bin", &[1], "0"), "leads out of its folder");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Nothing in a file makes the program panic: damaged bytes are refused or give some other graph.
    #[test]
    fn damaged_models_never_panic(
        index in 0..8_usize,
        places in prop::collection::vec((any::<Index>(), any::<u8>()), 1..6),
        cut in prop::option::weighted(0.2, any::<Index>()),
    ) {
        const MODELS: [&str; 8] = [
            "networks/resize_pad_torchscript", "networks/attention_dynamo", "networks/resize_nearest_dynamo18",
            "operators/groupnorm_exported", "operators/slice_steps", "operators/split", "operators/conv2d_k3",
            "operators/resize_traced_scale",
        ];
        let mut bytes = std::fs::read(repository("testdata/onnx").join(format!("{}.onnx", MODELS[index]))).unwrap();
        for (place, value) in places {
            let at = place.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = set_metadata(&bytes, "key", "value");
        if let Ok(graph) = Graph::parse(bytes) {
            let shapes: Vec<Vec<usize>> =
                graph.inputs().map(|info| info.shape.iter().map(|axis| axis.unwrap_or(8).min(64)).collect()).collect();
            let _ = graph.network(&shapes);
            let _ = graph.facts();
        }
    }
}

const OPERATORS: [&str; 30] = [
    "Conv",
    "ConvTranspose",
    "MaxPool",
    "AveragePool",
    "Pad",
    "Slice",
    "Reshape",
    "Transpose",
    "Resize",
    "Concat",
    "Split",
    "Squeeze",
    "Unsqueeze",
    "Flatten",
    "Gather",
    "Expand",
    "ReduceMean",
    "ArgMax",
    "Softmax",
    "DepthToSpace",
    "ConstantOfShape",
    "Range",
    "GroupNormalization",
    "LayerNormalization",
    "InstanceNormalization",
    "Shape",
    "Mod",
    "Div",
    "Gemm",
    "Clip",
];
const ATTRIBUTES: [&str; 20] = [
    "kernel_shape",
    "strides",
    "dilations",
    "pads",
    "group",
    "output_padding",
    "output_shape",
    "ceil_mode",
    "axis",
    "axes",
    "perm",
    "starts",
    "ends",
    "split",
    "keepdims",
    "blocksize",
    "num_groups",
    "start",
    "end",
    "transB",
];

fn extreme() -> impl Strategy<Value = i64> {
    prop_oneof![6 => -5..9_i64, 1 => prop::sample::select(vec![i64::MIN, i64::MAX, 1 << 62, 1 << 40, -(1 << 40), 1 << 31, 1 << 24])]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6000))]

    /// Absurd parameters of any operator, as attributes and as constants, are refused or harmless.
    #[test]
    fn absurd_parameters_never_panic(
        operator in prop::sample::select(OPERATORS.to_vec()),
        attributes in prop::collection::vec((prop::sample::select(ATTRIBUTES.to_vec()), prop::collection::vec(extreme(), 0..5)), 0..4),
        constants in prop::collection::vec((any::<bool>(), prop::collection::vec(extreme(), 0..9)), 0..4),
        data_first in any::<bool>(),
        outputs in 1..4_usize,
    ) {
        use wire::{bytes, int, ints, model, node, tensor};
        let names: Vec<String> = (0..constants.len()).map(|index| format!("w{index}")).collect();
        let mut parts: Vec<Vec<u8>> = constants.iter().zip(&names).map(|((float, values), name)| {
            let raw: Vec<u8> = match float {
                true => values.iter().flat_map(|&v| (v as f32).to_le_bytes()).collect(),
                false => values.iter().flat_map(|&v| v.to_le_bytes()).collect(),
            };
            let dims = match values.len() { 8 => vec![2, 1, 2, 2], 1 => vec![], n => vec![n as i64] };
            bytes(5, tensor(name, &dims, if *float { 1 } else { 7 }, &bytes(9, raw)))
        }).collect();
        let attributes: Vec<Vec<u8>> = attributes.iter().map(|(name, values)| match values.as_slice() {
            [one] => [bytes(1, name), int(3, *one), int(20, 2)].concat(),
            several => ints(name, several),
        }).collect();
        let inputs = data_first.then_some("x").into_iter().chain(names.iter().map(String::as_str)).collect::<Vec<_>>();
        let results = &["r", "r2", "r3"][..outputs];
        parts.push(node(operator, &inputs, results, &attributes));
        parts.push(node("Add", &["x", "r"], &["y"], &[]));
        if let Ok(graph) = Graph::parse(model(&parts)) {
            if let Ok(network) = graph.network(&[vec![1, 1, 8, 8]]) {
                prop_assert!(network.outputs.iter().all(|&id| !network.shape(id).contains(&0)));
                let _ = network.operations();
            }
            let _ = graph.facts();
        }
    }
}
