//! The way from a study to labels around tiny networks whose answer is known.

#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use std::sync::{Arc, Mutex};

use unet_vol::geometry::{Affine, Direction, Grid, Orientation};
use unet_vol::labels::{InstanceOptions, InstanceOrder, instances};
use unet_vol::model::{Model, ModelSpec};
use unet_vol::pipeline::{Cancel, Outcome, Pipeline, PipelineBuilder, Progress, Stage};
use unet_vol::tiling::Tiling;
use unet_vol::{ErrorKind, Volume, inference};

use crate::networks::{Network, blur, spec};
use crate::support::{largest_difference, on_threads, repository};

fn grid(shape: [usize; 3]) -> Grid {
    Grid::new(shape, Affine::from_spacing([1.0, 1.5, 2.0], [-7.0, 3.0, 11.0]).unwrap()).unwrap()
}

/// Smooth values in 0..classes that stay clear of the middle between two classes where `clear`.
fn texture(grid: Grid, classes: usize, clear: bool) -> Volume {
    let [ni, nj, _] = grid.shape();
    let value = |n: usize| {
        let [i, j, k] = [n % ni, n / ni % nj, n / ni / nj].map(|v| v as f32);
        let wave = 0.5 + 0.25 * ((0.5 * i).sin() + (0.4 * j + 0.3 * k).cos());
        let x = wave * (classes as f32 - 1.0);
        if clear { x.round() + 0.8 * (x - x.round()) } else { x }
    };
    Volume::new(grid, (0..grid.voxels()).map(value).collect()).unwrap()
}

fn tiling(json: &str) -> Tiling {
    serde_json::from_str(json).unwrap()
}

fn builder(network: Network, spec: ModelSpec) -> PipelineBuilder {
    Pipeline::predictor_builder(spec, Box::new(network))
}

fn segment(builder: PipelineBuilder, channels: &[Volume]) -> Outcome {
    builder.build().unwrap().segment(channels).unwrap()
}

fn ids(outcome: &Outcome) -> &[u16] {
    outcome.labels.ids.data()
}

/// All probabilities on the grid of the labels, class after class.
fn probabilities(outcome: &Outcome) -> Vec<f32> {
    let kept = outcome.probabilities.as_ref().unwrap();
    let on_grid = kept.on_grid(outcome.labels.grid()).unwrap();
    (0..kept.classes()).flat_map(|class| on_grid.class(class).unwrap().into_data()).collect()
}

/// Probabilities sum to one, and the most probable class is the label but where two are equal to rounding.
fn check_probabilities(outcome: &Outcome) {
    let all = probabilities(outcome);
    let voxels = ids(outcome).len();
    for (voxel, id) in ids(outcome).iter().enumerate() {
        let of_voxel: Vec<f32> = all.iter().skip(voxel).step_by(voxels).copied().collect();
        let largest = of_voxel.iter().copied().fold(0.0, f32::max);
        assert!((of_voxel.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{voxel}: {of_voxel:?}");
        assert!(largest - of_voxel[usize::from(*id) / 10] < 1e-5, "{voxel}: {id} of {of_voxel:?}");
    }
}

/// Makes a network of that many classes.
type Make = fn(usize) -> Network;

const HALO: &str = "[network]\ndimensions = 'three'\nminimum = [1, 1, 1]\nmultiple = [1, 1, 1]\nmargin = [0, 0, 0]\n\
                    receptive_halo = [1, 1, 1]\n";
const EVEN: &str = "[network]\ndimensions = 'three'\nminimum = [2, 2, 2]\nmultiple = [2, 2, 2]\nmargin = [0, 0, 0]\n\
                    receptive_halo = [3, 3, 3]\n";

#[test]
fn tiles_that_see_enough_give_what_the_whole_gives() {
    let study = [texture(grid([20, 17, 23]), 4, false)];
    let mut tried = 0;
    let networks: [(Make, &str); 2] = [(Network::blurred, HALO), (Network::strided, EVEN)];
    for (network, shape) in networks {
        let make = || builder(network(4), spec(4, shape)).keep_probabilities(true);
        let whole = segment(make(), &study);
        assert_eq!((whole.plan.tiles, whole.plan.passes), (1, 1));
        check_probabilities(&whole);
        for text in [
            r#"{"method":"exact","patch":[8,8,8]}"#,
            r#"{"method":"exact","patch":[20,12,10]}"#,
            r#"{"method":"exact","patch":[64,64,14]}"#,
        ] {
            let tiled = segment(make().tiling(tiling(text)), &study);
            assert!(tiled.plan.tiles > 1, "{text}");
            assert_eq!(ids(&tiled), ids(&whole), "{text}");
            assert!(largest_difference(&probabilities(&tiled), &probabilities(&whole)) < 1e-5, "{text}");
            tried += 1;
        }
    }
    // Zeros outside are what the network itself takes there.
    let make = || builder(Network::blurred(4), spec(4, HALO)).keep_probabilities(true);
    let whole = segment(make(), &study);
    for text in [
        r#"{"method":"overlap-tile","patch":[8,9,7],"halo":[1,1,1],"padding":{"constant":0.0}}"#,
        r#"{"method":"overlap-tile","patch":[8,9,7],"halo":[2,3,1],"padding":{"constant":0.0},"last":"cut"}"#,
    ] {
        let tiled = segment(make().tiling(tiling(text)), &study);
        assert_eq!(ids(&tiled), ids(&whole), "{text}");
        assert!(largest_difference(&probabilities(&tiled), &probabilities(&whole)) < 1e-5, "{text}");
        tried += 1;
    }
    assert_eq!(tried, 8);
}

#[test]
fn windows_of_a_network_that_sees_one_voxel_give_what_the_whole_gives() {
    let study = [texture(grid([20, 17, 23]), 4, true)];
    for axis_order in ["kji", "ijk"] {
        let description = format!("[input]\naxis_order = '{axis_order}'\norientation = 'LPS'");
        let make = || builder(Network::pointwise(4), spec(4, &description)).keep_probabilities(true);
        let whole = segment(make(), &study);
        let wanted: Vec<u16> = study[0].data().iter().map(|v| 10 * v.round() as u16).collect();
        assert_eq!(ids(&whole), wanted);
        for text in [
            r#"{"method":"sliding-window","patch":[8,8,8],"overlap":0.5,"importance":"nnunet"}"#,
            r#"{"method":"sliding-window","patch":[6,32,9],"overlap":0.25,"importance":"monai","starts":"monai"}"#,
            r#"{"method":"sliding-window","patch":[7,5,3],"overlap":0.0,"importance":"uniform"}"#,
            r#"{"method":"overlap-tile","patch":[8,8,8]}"#,
        ] {
            let tiled = segment(make().tiling(tiling(text)), &study);
            assert_eq!(ids(&tiled), wanted, "{text}");
            assert!(largest_difference(&probabilities(&tiled), &probabilities(&whole)) < 1e-5, "{text}");
        }
    }
}

/// On a grid of another spacing and orientation: what is interpolated for labels is what is interpolated here.
#[test]
fn probabilities_belong_to_the_labels_on_any_grid() {
    let study = [texture(grid([11, 9, 10]), 4, false)];
    let grids = "[input]\norientation = 'PIR'\naxis_order = 'ijk'\n[grid]\nspacing_mm = [1.9, 2.3, 2.1]\n";
    let oblique = "[input]\norientation = 'LIA'\n\
                   [grid]\nshape = [8, 9, 9]\nspacing_mm = [2, 2, 2]\nworld_aligned = true\n";
    let turned = Affine::from_rows([[1.0, 0.2, 0.1, -9.0], [-0.2, 1.3, 0.3, -8.0], [0.1, -0.3, 1.4, -4.0]]).unwrap();
    let turned = [study[0].clone().with_grid(grid([11, 9, 10]).with_affine(turned)).unwrap()];
    for (study, grids) in [(&study, grids), (&turned, oblique)] {
        for output in ["", "activation = 'softmax'", "outside = 'clamp'", "back = 'nearest'"] {
            let more = format!("{grids}[output]\n{output}\n{HALO}");
            let window = tiling(r#"{"method":"sliding-window","patch":[5,4,3]}"#);
            let make = || builder(Network::blurred(4), spec(4, &more)).keep_probabilities(true);
            for outcome in [segment(make(), study), segment(make().tiling(window), study)] {
                check_probabilities(&outcome);
                let found = (0..4).filter(|class| ids(&outcome).contains(&(10 * class))).count();
                assert!(found >= 3, "{found} classes: {more}");
            }
        }
    }
}

/// Slices with their neighbors as channels: `x[n-1] - x[n+1]` of channel 0 plus channel 1, edges repeated.
#[test]
fn slices_along_each_axis_see_their_neighbors_as_channels() {
    let shape = [7, 6, 5];
    let study = [texture(grid(shape), 3, false), texture(grid(shape), 2, true)];
    let at = |i: usize, j: usize, k: usize| i + 7 * (j + 6 * k);
    for (axis, name) in ["i", "j", "k"].into_iter().enumerate() {
        let value = |n: usize| {
            let index = [n % 7, n / 7 % 6, n / 42];
            let moved = |to: usize| {
                let mut there = index;
                there[axis] = to;
                study[0].data()[at(there[0], there[1], there[2])]
            };
            moved(index[axis].saturating_sub(1)) - moved((index[axis] + 1).min(shape[axis] - 1)) + study[1].data()[n]
        };
        let wanted: Vec<u16> = (0..210).map(|n| if value(n) > 0.3 { 10 } else { 0 }).collect();
        assert!(wanted.iter().filter(|&&id| id > 0).count() > 20);
        for batch in [1, 2, 4, 100] {
            let network = Network::new(2, 6, 2, |input, shape, output| {
                let plane = shape[1] * shape[2];
                for n in 0..plane {
                    output[n] = 0.3;
                    output[plane + n] = input[n] - input[2 * plane + n] + input[4 * plane + n];
                }
            });
            let channels = "input = { channels = [{ name = 'a' }, { name = 'b' }] }\n";
            let slices = format!(r#"{{"method":"slices","axis":"{name}","slices":3,"batch":{batch}}}"#);
            let outcome = segment(builder(network, spec(2, channels)).tiling(tiling(&slices)), &study);
            assert_eq!(ids(&outcome), wanted, "{name} {batch}");
            assert_eq!(outcome.plan.passes, shape[axis].div_ceil(batch));
        }
    }
}

#[test]
fn storage_in_any_of_48_orders_gives_the_same_labels_in_the_world() {
    let study = texture(grid([9, 8, 7]), 4, false);
    for more in [
        "[input]\norientation = 'RAS'",
        "[input]\norientation = 'PIR'\naxis_order = 'ijk'\n[grid]\nspacing_mm = [1.2, 1.7, 1.1]\nrule = 'centre'",
        "[input]\norientation = 'LAS'\n[grid]\nspacing_mm = [2, 2, 2]\nmultiple = 4\n[resample]\nmethod = 'area'\n\
         [output]\nback = 'nearest'\noutside = 'clamp'",
        "[input]\norientation = 'LIA'\naxis_order = 'ijk'\n\
         [grid]\nshape = [12, 14, 13]\nspacing_mm = [1, 1, 1]\nworld_aligned = true",
    ] {
        let pipeline = builder(Network::blurred(4), spec(4, more)).build().unwrap();
        let wanted = pipeline.segment(std::slice::from_ref(&study)).unwrap().labels;
        let mut orders = 0;
        for axes in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            for signs in 0..8 {
                let direction = |a: usize| Direction::from_world(axes[a], signs >> a & 1 == 1);
                let order = Orientation::new([direction(0), direction(1), direction(2)]).unwrap();
                let stored = study.reoriented(order);
                let labels = pipeline.segment(&[stored]).unwrap().labels.ids;
                assert_eq!(labels.grid().orientation(), order);
                let back = labels.reoriented(Orientation::RAS);
                assert!(back.grid().matches(study.grid()));
                assert_eq!(back.data(), wanted.ids.data(), "{order} {more}");
                orders += 1;
            }
        }
        assert_eq!(orders, 48);
        assert!((1..4).all(|class| wanted.ids.data().contains(&(10 * class))));
    }
}

/// An image that is linear in the world keeps its values under linear interpolation, so a plane through the world is
/// the border of the label on any grid.
#[test]
fn oblique_and_sheared_studies_are_decided_where_they_are() {
    let value = |p: [f64; 3]| (0.02 * p[0] - 0.03 * p[1] + 0.05 * p[2]) as f32;
    for rows in [
        [[0.9, 0.2, -0.1, -9.0], [-0.2, 1.1, 0.3, -12.0], [0.1, -0.3, 1.6, -8.0]],
        [[-0.1, 0.4, 1.4, -11.0], [1.0, 0.0, 0.2, -8.0], [0.3, -0.9, 0.1, 6.0]],
    ] {
        let shape = [18, 20, 14];
        let grid = Grid::new(shape, Affine::from_rows(rows).unwrap()).unwrap();
        let index = |n: usize| [n % 18, n / 18 % 20, n / 360];
        let at = |n: usize| grid.index_to_world(index(n).map(|v| v as f64));
        let study = Volume::new(grid, (0..grid.voxels()).map(|n| value(at(n))).collect()).unwrap();
        for more in [
            "[input]\norientation = 'RAS'\n[grid]\nspacing_mm = [0.8, 1.3, 1.0]\n[output]\noutside = 'clamp'",
            "[input]\norientation = 'LIA'\naxis_order = 'ijk'\n[output]\noutside = 'clamp'\n\
             [grid]\nshape = [48, 48, 48]\nspacing_mm = [1, 1, 1]\nworld_aligned = true",
        ] {
            let network = Network::new(3, 1, 2, |input, _, output| {
                let (background, bright) = output.split_at_mut(input.len());
                background.fill(0.1);
                bright.copy_from_slice(input);
            });
            let outcome = segment(builder(network, spec(2, more)), std::slice::from_ref(&study));
            let (mut checked, mut bright) = (0, 0);
            for (n, &id) in ids(&outcome).iter().enumerate() {
                let inside = (0..3).all(|a| (2..shape[a] - 2).contains(&index(n)[a]));
                if inside && (value(at(n)) - 0.1).abs() > 1e-5 {
                    assert_eq!(id > 0, value(at(n)) > 0.1, "{:?} {more}", index(n));
                    checked += 1;
                    bright += usize::from(id > 0);
                }
            }
            assert!(checked > 2200 && bright > 300 && bright < checked - 300, "{bright} of {checked}");
        }
    }
}

/// A model that runs on the study's own grid gets perpendicular axes or nothing; slices are fed one by one.
#[test]
fn a_tilted_study_is_refused_by_a_model_without_a_grid_of_its_own() {
    let rows = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.4, 0.0], [0.0, 0.0, 2.0, 0.0]];
    let grid = Grid::new([16, 16, 8], Affine::from_rows(rows).unwrap()).unwrap();
    let study = texture(grid, 5, false);
    let bright = || {
        Network::new(3, 1, 2, |input, _, output| {
            let (background, bright) = output.split_at_mut(input.len());
            background.fill(0.1);
            bright.copy_from_slice(input);
        })
    };
    let run = |more: &str| builder(bright(), spec(2, more)).build().unwrap().segment(std::slice::from_ref(&study));
    let error = run("").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("11.31 degrees") && error.advice().unwrap().contains("--on-tilt"), "{error:?}");
    let outcome = run("[grid]\nspacing_mm = [1, 1, 1]").unwrap();
    assert_eq!(outcome.labels.grid(), &grid);
    assert_eq!(outcome.plan.working, [16, 19, 16]);
    // Averaging along axes works too.
    let averaged = run("[grid]\nspacing_mm = [2, 2, 2]\n[resample]\nmethod = 'area'").unwrap();
    assert!(!averaged.labels.is_empty());
}

/// A model of `testdata/onnx/networks` in the embedded engine.
#[cfg(feature = "embedded")]
fn onnx(name: &str, classes: usize, more: &str) -> PipelineBuilder {
    let path = repository(&format!("testdata/onnx/networks/{name}.onnx"));
    let bytes = std::fs::read(&path).unwrap();
    let mut options = inference::Options::default();
    options.engine = inference::EngineChoice::Embedded;
    Pipeline::builder(Model::from_bytes(bytes.into(), Some(&path), Some(spec(classes, more))).unwrap()).engine(options)
}

#[cfg(feature = "embedded")]
#[test]
fn threads_and_batches_do_not_change_a_byte() {
    let study = [texture(grid([30, 26, 22]), 3, false)];
    let window = "[tiling]\nmethod = 'sliding-window'\npatch = [16, 16, 16]\n";
    let slices = "[tiling]\nmethod = 'slices'\naxis = 'j'\nbatch = 5\n[tiling.plane]\nmethod = 'whole'\n";
    let resampled = "[grid]\nspacing_mm = [1.3, 1.3, 1.3]\n[input]\norientation = 'RAS'\naxis_order = 'ijk'\n";
    let mut compared = 0;
    for (name, more) in [
        ("monai_torchscript", [resampled, window].concat()),
        ("nnunet3d_torchscript", window.to_owned()),
        ("nnunet2d_batchnorm", [resampled, slices].concat()),
    ] {
        let run = |threads: usize| {
            let outcome = segment(onnx(name, 3, &more).threads(threads).keep_probabilities(true), &study);
            (ids(&outcome).to_vec(), probabilities(&outcome))
        };
        let (labels, scores) = run(1);
        assert!(labels.iter().any(|&id| id != labels[0]), "{name}");
        for threads in [2, 8] {
            assert!(run(threads) == (labels.clone(), scores.clone()), "{name} on {threads} threads");
            compared += 1;
        }
        let outcome = on_threads(3, || segment(onnx(name, 3, &more), &study));
        assert_eq!(ids(&outcome), labels);
    }
    for batch in [1, 3, 64] {
        let more = [resampled, &slices.replace("batch = 5", &format!("batch = {batch}"))].concat();
        let outcome = segment(onnx("nnunet2d_batchnorm", 3, &more), &study);
        let other = segment(onnx("nnunet2d_batchnorm", 3, &[resampled, slices].concat()), &study);
        assert_eq!(ids(&outcome), ids(&other));
        compared += 1;
    }
    assert_eq!(compared, 9);
}

/// The network of the 2015 paper, in 3-D and 2-D: valid convolutions, mirrored context, tiles in step.
#[cfg(feature = "embedded")]
#[test]
fn overlapping_tiles_of_a_valid_network_give_what_the_whole_gives() {
    let study = [texture(grid([13, 9, 15]), 3, false)];
    let whole = segment(onnx("unet2015_3d", 2, "").tiling(tiling(r#"{"method":"whole","padding":"reflect"}"#)), &study);
    let patch = whole.plan.patch;
    assert!((0..3).all(|a| patch[a] > study[0].grid().shape()[a]), "{patch:?}");
    let text = r#"{"method":"overlap-tile","patch":[20,22,18],"last":"cut"}"#;
    let tiled = segment(onnx("unet2015_3d", 2, "").tiling(tiling(text)), &study);
    assert!(tiled.plan.tiles > 20);
    assert_eq!(ids(&tiled), ids(&whole));
    assert!([0, 10].iter().all(|id| ids(&whole).contains(id)));
}

#[test]
fn every_ceiling_gives_the_same_labels_or_a_refusal_with_the_number() {
    let study = [texture(grid([23, 30, 41]), 4, false)];
    let networks: [(Make, &str); 2] = [(Network::blurred, HALO), (Network::strided, EVEN)];
    for (network, shape) in networks {
        let make = |bytes: u64| {
            let mut network = network(4);
            network.bytes_per_voxel = 20_000;
            let whole = tiling(r#"{"method":"whole","padding":"reflect"}"#);
            builder(network, spec(4, shape)).tiling(whole).max_bytes(bytes).build().unwrap()
        };
        let free = make(u64::MAX).segment(&study).unwrap();
        assert_eq!(free.plan.tiles, 1);
        let refused = make(1).segment(&study).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Limit);
        let number = |text: &str| text.split(' ').find_map(|word| word.parse::<u64>().ok()).unwrap();
        let least = number(refused.message());
        assert!(refused.message().ends_with(" 1") && refused.advice().unwrap().contains("--max-ram"), "{refused}");
        assert!(least * 2 < free.plan.peak_bytes, "{least} of {}", free.plan.peak_bytes);
        assert!(make(least - 1).segment(&study).is_err());
        let mut tiles = 1;
        for part in 0..12 {
            let ceiling = least + (free.plan.peak_bytes - 1 - least) * (11 - part) / 11;
            let outcome = make(ceiling).segment(&study).unwrap();
            assert!(outcome.plan.peak_bytes <= ceiling && outcome.plan.tiles >= tiles);
            tiles = outcome.plan.tiles;
            assert_eq!(ids(&outcome), ids(&free), "{ceiling} bytes, {tiles} tiles");
        }
        assert!(tiles > 8);
    }
}

#[test]
fn instances_are_those_of_the_labels_and_their_memory_is_planned() {
    let study = [texture(grid([20, 17, 23]), 4, true)];
    let make = || builder(Network::pointwise(4), spec(4, ""));
    let plain = segment(make(), &study);
    assert!(plain.instances.is_none());
    let options = InstanceOptions::default().with_order(InstanceOrder::Size);
    let found = segment(make().keep_labels(vec!["10".to_owned(), "30".to_owned()]).instances(options), &study);
    let wanted = instances(&found.labels, &options).unwrap();
    assert!(wanted.objects().len() > 2);
    assert_eq!(found.instances.as_ref().unwrap().paint::<u16>().unwrap(), wanted.paint::<u16>().unwrap());
    let bytes = |outcome: &Outcome, name: &str| outcome.plan.stages.iter().find(|s| s.name == name).unwrap().bytes;
    let voxels = study[0].data().len() as u64;
    for (name, least) in [("read", 0), ("network", 0), ("postprocess", 5 * voxels), ("write", 5 * voxels)] {
        let more = bytes(&found, name) - bytes(&plain, name);
        assert_eq!(more > 0, least > 0, "{name}");
        assert!(more >= least, "{name}: {more} bytes");
    }
}

#[test]
fn fewer_slices_at_once_where_memory_is_short() {
    let study = [texture(grid([20, 20, 20]), 2, true)];
    let make = |bytes: u64| {
        let mut network = Network::new(2, 1, 2, |input, shape, output| {
            let (background, bright) = output.split_at_mut(shape[1] * shape[2]);
            background.fill(0.5);
            bright.copy_from_slice(input);
        });
        network.bytes_per_voxel = 100_000;
        let slices = tiling(r#"{"method":"slices","batch":16}"#);
        builder(network, spec(2, "")).tiling(slices).max_bytes(bytes).build().unwrap()
    };
    let free = make(u64::MAX).segment(&study).unwrap();
    let short = make(free.plan.peak_bytes / 3).segment(&study).unwrap();
    assert!(short.plan.passes > free.plan.passes);
    assert_eq!(ids(&short), ids(&free));
    assert_eq!(make(1 << 20).segment(&study).unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn channels_keep_their_order_and_their_own_normalization() {
    let study = [texture(grid([6, 7, 8]), 2, false), texture(grid([6, 7, 8]), 5, false)];
    let make = || {
        let network = Network::new(3, 2, 2, |input, shape, output| {
            let plane: usize = shape[1..].iter().product();
            for n in 0..plane {
                (output[n], output[plane + n]) = (input[n], input[plane + n]);
            }
        });
        let channels = "[input]\nchannels = [{ name = 'a', normalize = { steps = [{ kind = 'min-max' }] } }, \
                        { name = 'b', normalize = { steps = [{ kind = 'fixed', mean = 2.0, std = 1.0 }] } }]";
        builder(network, spec(2, channels)).build().unwrap()
    };
    let low = study[0].data().iter().copied().fold(f32::INFINITY, f32::min);
    let high = study[0].data().iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let outcome = make().segment(&study).unwrap();
    for (n, id) in ids(&outcome).iter().enumerate() {
        let (a, b) = ((study[0].data()[n] - low) / (high - low), study[1].data()[n] - 2.0);
        assert!((a - b).abs() < 1e-5 || (*id == 10) == (b > a));
    }
    assert!([0, 10].iter().all(|id| ids(&outcome).contains(id)));
    let refused = |channels: &[Volume]| make().segment(channels).unwrap_err();
    assert_eq!(refused(&study[..1]).kind(), ErrorKind::Usage);
    assert!(refused(&[]).message().contains("0 channels were given and the model reads 2"));
    let elsewhere = texture(Grid::new([6, 7, 8], Affine::identity()).unwrap(), 2, false);
    assert_eq!(refused(&[study[0].clone(), elsewhere]).kind(), ErrorKind::Usage);
}

#[test]
fn regions_are_painted_in_order_and_a_threshold_is_exceeded() {
    let study = [texture(grid([9, 9, 9]), 3, false)];
    // Channel c scores x - c: logits.
    let logits = || {
        Network::new(3, 1, 3, |input, _, output| {
            for (class, scores) in output.chunks_mut(input.len()).enumerate() {
                scores.iter_mut().zip(input).for_each(|(score, x)| *score = x - class as f32);
            }
        })
    };
    let labels = "labels = [{ class = 0, id = 1, name = 'all' }, { class = 1, id = 2, name = 'core' }, \
                  { class = 2, id = 3, name = 'rim' }]\n";
    let run = |rule: &str, activation: &str| {
        let text =
            format!("schema = 1\nname = 't'\n{labels}[output]\nactivation = '{activation}'\n[output.decision]\n{rule}");
        let outcome = segment(builder(logits(), ModelSpec::parse(&text).unwrap()).keep_probabilities(true), &study);
        let likely = probabilities(&outcome);
        let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
        let wanted = (0..3).flat_map(|c| study[0].data().iter().map(move |x| sigmoid(x - c as f32)));
        if rule.contains("sigmoid") {
            assert!(largest_difference(&likely, &wanted.collect::<Vec<_>>()) < 1e-6);
        }
        ids(&outcome).to_vec()
    };
    let by_value = |label: &dyn Fn(f32) -> u16| study[0].data().iter().map(|&x| label(x)).collect::<Vec<_>>();
    let nested = |x: f32| [0, 1, 2, 3][usize::from(x > 0.25) + usize::from(x > 1.5) + usize::from(x > 1.75)];
    let regions = "kind = 'sigmoid'\nthresholds = [0.25, 0.5, -0.25]\norder = [0, 1, 2]\n";
    assert_eq!(run(regions, "none"), by_value(&nested));
    let order = "kind = 'sigmoid'\nthresholds = [0.25, 0.5, -0.25]\norder = [2, 0]\n";
    assert_eq!(run(order, "none"), by_value(&|x| u16::from(x > 0.25)));
    let half = "kind = 'sigmoid'\nthresholds = [0.5, 0.5, 0.5]\norder = [0, 1, 2]\n";
    assert_eq!(run(half, "sigmoid"), by_value(&|x| [0, 1, 2][usize::from(x > 0.0) + usize::from(x > 1.0)]));
    let above = "kind = 'threshold'\nchannel = 1\nvalue = 0.25\n";
    assert_eq!(run(above, "none"), by_value(&|x| 2 * u16::from(x > 1.25)));
    let wrong = "kind = 'sigmoid'\nthresholds = [0.5]\norder = [0]\n";
    let text = format!("schema = 1\nname = 't'\n{labels}[output.decision]\n{wrong}");
    let error =
        builder(logits(), ModelSpec::parse(&text).unwrap()).build().and_then(|p| p.segment(&study)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model);
}

#[test]
fn only_the_box_above_the_threshold_is_fed() {
    let shape = [12, 11, 10];
    let mut study = Volume::zeros(grid(shape)).unwrap();
    for ((i, j, k), value) in study.view_mut().indexed_iter_mut() {
        let inside = (3..8).contains(&i) && (2..9).contains(&j) && (4..6).contains(&k);
        *value = if inside { 1.0 + (i + j + k) as f32 / 30.0 } else { 0.05 };
    }
    for outside in ["background", "clamp"] {
        for (margin, back) in [(0, "linear"), (1, "nearest")] {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let shapes = Arc::clone(&seen);
            let network = Network::new(3, 1, 2, move |input, shape, output| {
                shapes.lock().unwrap().push([shape[3], shape[2], shape[1]]);
                let (background, bright) = output.split_at_mut(input.len());
                background.fill(-1.0);
                bright.copy_from_slice(&blur(input, [shape[3], shape[2], shape[1]]));
            });
            let more = format!(
                "[input]\ncrop = {{ threshold = 0.5, margin = {margin} }}\n[output]\noutside = '{outside}'\nback = '{back}'"
            );
            let outcome = segment(builder(network, spec(2, &more)).keep_probabilities(true), &[study.clone()]);
            assert_eq!(*seen.lock().unwrap(), [[5 + 2 * margin, 7 + 2 * margin, 2 + 2 * margin]]);
            // Every fed voxel scores above background, whatever lies beyond.
            let fed = |v: usize, low: usize, high: usize| (low - margin..high + margin).contains(&v);
            for ((i, j, k), id) in outcome.labels.ids.view().indexed_iter() {
                let inside = fed(i, 3, 8) && fed(j, 2, 9) && fed(k, 4, 6);
                assert_eq!(*id, if inside { 10 } else { 0 }, "{i} {j} {k} {more}");
            }
            check_probabilities(&outcome);
        }
    }
    let more = "[input]\ncrop = { threshold = 5.0 }";
    let outcome = segment(builder(Network::pointwise(2), spec(2, more)).keep_probabilities(true), &[study]);
    assert!(outcome.labels.is_empty() && outcome.warnings.iter().any(|w| w.code == "empty"));
    check_probabilities(&outcome);
}

/// Scores that are no numbers are counted, whether one patch covers the grid or several do.
#[test]
fn scores_that_are_not_finite_come_with_a_warning() {
    let study = texture(grid([6, 6, 6]), 2, true);
    let tiles = "[tiling]\nmethod = 'sliding-window'\npatch = [6, 6, 3]\noverlap = 0.0\n";
    let activations = ["", "[output]\nactivation = 'softmax'\n", "[output]\nactivation = 'sigmoid'\n"];
    for (tiling, activation) in ["", tiles].into_iter().flat_map(|tiling| activations.map(|other| (tiling, other))) {
        let network = Network::new(3, 1, 2, |input, _, output| {
            output.fill(0.5);
            output[0] = f32::NAN;
            output[input.len()] = f32::INFINITY;
        });
        let outcome = segment(builder(network, spec(2, &[activation, tiling].concat())), std::slice::from_ref(&study));
        let warning = outcome.warnings.iter().find(|w| w.code == "scores-not-finite").unwrap();
        let bad = if tiling.is_empty() { 2 } else { 4 };
        assert!(warning.message.starts_with(&format!("{bad} of the network's scores")), "{warning}");
    }
}

#[test]
fn odd_intensities_come_with_a_warning() {
    let normalized = "[input.normalize]\nsteps = [{ kind = 'min-max' }]";
    let run = |study: Volume| segment(builder(Network::pointwise(2), spec(2, normalized)), &[study]);
    let mut study = texture(grid([6, 6, 6]), 2, true);
    let clean = run(study.clone());
    assert!(clean.warnings.is_empty(), "{:?}", clean.warnings);
    study.data_mut()[7] = f32::NAN;
    study.data_mut()[8] = f32::INFINITY;
    study.data_mut()[9] = f32::NEG_INFINITY;
    let outcome = run(study);
    let codes: Vec<_> = outcome.warnings.iter().map(|w| w.code).collect();
    assert_eq!(codes, ["non-finite-intensities"]);
    assert!(outcome.warnings[0].message.contains("1 voxels were not a number and 2 infinite"));
    assert!(ids(&outcome).iter().zip(ids(&clean)).enumerate().all(|(n, (a, b))| a == b || (7..10).contains(&n)));
    let constant = run(Volume::new(grid([4, 4, 4]), vec![3.0; 64]).unwrap());
    let codes: Vec<_> = constant.warnings.iter().map(|w| w.code).collect();
    assert_eq!(codes, ["constant-image", "empty"]);
    let plain =
        segment(builder(Network::pointwise(4), spec(4, "")), &[Volume::new(grid([5; 3]), vec![2.2; 125]).unwrap()]);
    assert!(ids(&plain).iter().all(|&id| id == 20));
    let refuse = "[input.normalize]\nnon_finite = 'refuse'";
    let bad = Volume::new(grid([2; 3]), vec![f32::NAN; 8]).unwrap();
    let error = builder(Network::pointwise(2), spec(2, refuse)).build().unwrap().segment(&[bad]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
}

#[test]
fn progress_goes_up_and_a_cancelled_run_stops() {
    let study = [texture(grid([16, 16, 16]), 2, true)];
    let ways = [r#"{"method":"whole"}"#, r#"{"method":"sliding-window","patch":[8,8,8]}"#];
    let edges = "[output]\nedges = { weight = 1.0, reach_mm = 2.0 }";
    for (text, description) in itertools::iproduct!(ways, ["", edges]) {
        let steps: Arc<Mutex<Vec<Progress>>> = Arc::default();
        let seen = Arc::clone(&steps);
        let make = || builder(Network::pointwise(2), spec(2, description)).tiling(tiling(text));
        segment(make().progress(Arc::new(move |step| seen.lock().unwrap().push(step))), &study);
        let order = [Stage::Prepare, Stage::Network, Stage::Postprocess];
        let place = |step: &Progress| (order.iter().position(|stage| *stage == step.stage).unwrap(), step.done);
        let steps = steps.lock().unwrap();
        assert!(steps.windows(2).all(|pair| place(&pair[0]) < place(&pair[1])), "{steps:?}");
        for stage in order {
            let of_stage: Vec<_> = steps.iter().filter(|step| step.stage == stage).collect();
            let (first, last) = (of_stage[0], of_stage[of_stage.len() - 1]);
            assert!(first.done == 0 && last.done == last.total && of_stage.iter().all(|s| s.total == last.total));
        }
        for stop_at in order {
            let cancel = Cancel::new();
            let switch = cancel.clone();
            let stop = Arc::new(move |step: Progress| {
                if step.stage == stop_at {
                    switch.cancel()
                }
            });
            let error = make().progress(stop).cancel(cancel).build().unwrap().segment(&study).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Interrupted, "{stop_at:?}");
        }
    }
}

#[test]
fn labels_that_were_not_asked_for_become_background() {
    let study = [texture(grid([12, 12, 12]), 5, true)];
    let run = |keep: &[&str]| {
        let keep = keep.iter().map(|&name| name.to_owned()).collect();
        builder(Network::pointwise(5), spec(5, "")).keep_labels(keep).build()
    };
    let all = run(&[]).unwrap().segment(&study).unwrap();
    let kept = run(&["Class 2", "40"]).unwrap().segment(&study).unwrap();
    let wanted: Vec<u16> = ids(&all).iter().map(|&id| if id == 20 || id == 40 { id } else { 0 }).collect();
    assert_eq!(ids(&kept), wanted);
    assert_eq!(kept.labels.table.labels().iter().map(|label| label.id).collect::<Vec<_>>(), [20, 40]);
    for unknown in ["0", "7", "left elbow"] {
        assert_eq!(run(&[unknown]).unwrap_err().kind(), ErrorKind::Usage);
    }
}

#[test]
fn networks_that_do_not_fit_their_description_are_refused() {
    let fails = |network: Network, spec: ModelSpec| builder(network, spec).build().unwrap_err();
    let two = "input = { channels = [{ name = 'a' }, { name = 'b' }] }";
    for error in [
        fails(Network::pointwise(3), spec(4, "")),
        fails(Network::pointwise(2), spec(2, two)),
        fails(Network::new(2, 1, 2, |_, _, _| ()), spec(2, HALO)),
        fails(Network::new(1, 1, 2, |_, _, _| ()), spec(2, "")),
        fails(Network::new(2, 2, 2, |_, _, _| ()), spec(2, "tiling = { method = 'slices', slices = 3 }")),
    ] {
        assert_eq!(error.kind(), ErrorKind::Model, "{error}");
    }
    let study = [texture(grid([5, 6, 7]), 2, true)];
    let odd = r#"{"method":"sliding-window","patch":[3,4,4]}"#;
    for pipeline in [
        builder(Network::strided(2), spec(2, "")),
        builder(Network::strided(2), spec(2, EVEN)).tiling(tiling(odd)),
        builder(Network::new(2, 1, 2, |_, _, _| ()), spec(2, "")),
    ] {
        assert_eq!(pipeline.build().unwrap().segment(&study).unwrap_err().kind(), ErrorKind::Model);
    }
}

/// The network works on 2 mm, the scan has 1 x 1.5 x 2 mm: edges are looked for along i and j.
#[test]
fn edges_are_decided_alike_from_the_whole_and_from_tiles() {
    let study = [texture(grid([20, 17, 23]), 4, false)];
    let description =
        format!("{HALO}[grid]\nspacing_mm = [2, 2, 2]\n[output]\nedges = {{ weight = 1.0, reach_mm = 1.0 }}\n");
    let make = || builder(Network::blurred(4), spec(4, &description));
    let [whole, plain] = [true, false].map(|edges| segment(make().edges(edges), &study));
    let moved = ids(&whole).iter().zip(ids(&plain)).filter(|(a, b)| a != b).count();
    assert!(moved > 20 && moved < ids(&whole).len() / 4, "{moved}");
    assert_eq!((whole.plan.passes, plain.plan.passes), (1, 1));
    assert_eq!((whole.plan.edges, plain.plan.edges), (true, false));
    let text = r#"{"method":"exact","patch":[8,8,8]}"#;
    let tiled = segment(make().tiling(tiling(text)), &study);
    assert_eq!((ids(&tiled), tiled.plan.passes), (ids(&whole), 2 * tiled.plan.tiles));
    assert_ne!(
        make().build().unwrap().fingerprint().unwrap(),
        make().edges(false).build().unwrap().fingerprint().unwrap()
    );

    // Slices at those of the grid but one.
    let places: Vec<f64> = (0..23).map(|k| if k == 9 { 9.5 } else { f64::from(k) }).collect();
    let both = make().build().unwrap().segment_slices(&study, &places).unwrap();
    let slices = both.slices.unwrap();
    let plane = 20 * 17;
    let differ = |k: usize| {
        let range = k * plane..(k + 1) * plane;
        slices.ids.data()[range.clone()].iter().zip(&ids(&whole)[range]).filter(|(a, b)| a != b).count()
    };
    assert!((0..23).filter(|&k| k != 9).map(differ).sum::<usize>() < plane / 20, "the same voxels but for the medians");
    assert!(differ(9) > 0);
}

#[test]
fn a_description_of_edges_that_cannot_be_decided_is_refused() {
    let logits = |output: &str| format!("schema = 1\nname = 'x'\n[output]\n{output}");
    for (output, reason) in [
        ("edges = { weight = 0.0, reach_mm = 1.0 }", "positive"),
        ("edges = { weight = 1.0, reach_mm = inf }", "positive"),
        ("edges = { weight = 1.0 }", "reach_mm"),
        ("back = 'nearest'\nedges = { weight = 1.0, reach_mm = 1.0 }", "linear"),
        ("activation = 'softmax'\nedges = { weight = 1.0, reach_mm = 1.0 }", "logits"),
    ] {
        let error = ModelSpec::parse(&logits(output)).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
}
