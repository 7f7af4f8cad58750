//! ONNX graphs against ONNX Runtime's golden shapes (written by `tests/oracle/make_onnx_*_cases.py`), and hostile bytes.

use serde::Deserialize;
use unet_vol::model::graph::Graph;

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
    assert_eq!(all.len(), 207 + 25);
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
