//! Questions that every tiling answers, each by a test below.
//!
//! | question | answer |
//! | --- | --- |
//! | a patch larger than the volume? | one tile; the rest is padding, and the voxels keep their places |
//! | an axis of one voxel? | mirrors to itself; one tile |
//! | a halo longer than the axis? | the mirror bounces as often as needed |
//! | tiles that do not fill an axis? | the last one is shifted inwards (no voxel is answered for twice) or cut |
//! | overlap 0? | windows abut, but for the last one |
//! | an overlap that leaves a step of less than a voxel? | steps of one voxel |
//! | a step of exactly the patch (stride 1 network)? | every size is valid |
//! | a patch that the network does not take? | an error that names the nearest valid sizes |
//! | may tiles be run in another order? | yes: the same bytes where they abut, the same to rounding where they overlap |
//! | may planes leave early? | yes: below `finished_before` no later tile writes |

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::Value;
use unet_vol::ErrorKind;
use unet_vol::tiling::{
    Exact, Importance, LastTile, Layout, NetworkShape, OverlapTile, Padding, SliceAxis, Slices, SlidingWindow, Starts,
    Tiling, Whole,
};

use crate::support::shared;

/// A patch in the order of the tensor (shape fastest first) to one channel of scores.
type Network = dyn Fn(&[f32], [usize; 3]) -> Vec<f32>;

/// Runs tiles in the given order and blends: the definition that a streaming stitcher has to meet.
fn stitched(layout: &Layout, source: &[f32], network: &Network, numbers: impl Iterator<Item = usize>) -> Vec<f32> {
    let shape = layout.shape();
    let weights = layout.weights().unwrap();
    let (mut sum, mut total) = (vec![0.0_f32; source.len()], vec![0.0_f32; source.len()]);
    let mut patch = vec![0.0; layout.patch().iter().product()];
    let input: Vec<usize> = layout.input_shape(1, 1).into_iter().rev().chain([1]).take(3).collect();
    for tile in numbers.map(|number| layout.tile(number).unwrap()) {
        layout.gather(source, &tile, &mut patch).unwrap();
        let scores = network(&patch, [input[0], input[1], input[2]]);
        assert_eq!(scores.len(), layout.output_shape(1, 1).iter().product::<usize>());
        for row in layout.rows(&tile) {
            for n in 0..row.len {
                let from = row.source + n * row.stride;
                let to = row.index[0] + n + shape[0] * (row.index[1] + shape[1] * row.index[2]);
                let weight = weights.as_ref().map_or(1.0, |weights| weights[from]);
                sum[to] += weight * scores[from];
                total[to] += weight;
            }
        }
    }
    assert!(total.iter().all(|&t| t > 0.0), "a voxel got no score");
    if weights.is_none() {
        assert!(total.iter().all(|&t| t == 1.0), "a voxel got two scores");
    }
    sum.iter().zip(&total).map(|(s, t)| s / t).collect()
}

fn identity(margin: [usize; 3]) -> impl Fn(&[f32], [usize; 3]) -> Vec<f32> {
    move |patch, shape| {
        let inner = [0, 1, 2].map(|a| shape[a] - 2 * margin[a]);
        let at = |n: usize| {
            let index = [n % inner[0], n / inner[0] % inner[1], n / inner[0] / inner[1]];
            let [i, j, k] = [0, 1, 2].map(|a| index[a] + margin[a]);
            patch[i + shape[0] * (j + shape[1] * k)]
        };
        (0..inner.iter().product()).map(at).collect()
    }
}

/// Two blurs with a rectifier between, each of radius `r` along the first axes given, zeros outside (or `valid`).
fn convolution(shape: [usize; 3], data: &[f32], axis: usize, valid: bool) -> (Vec<f32>, [usize; 3]) {
    const KERNEL: [f32; 5] = [0.1, -0.3, 0.7, 0.4, -0.2];
    let mut out_shape = shape;
    let skip = if valid { 2 } else { 0 };
    out_shape[axis] -= 2 * skip;
    let stride: usize = shape[..axis].iter().product();
    let mut out = Vec::new();
    for n in 0..out_shape.iter().product::<usize>() {
        let mut at = [n % out_shape[0], n / out_shape[0] % out_shape[1], n / out_shape[0] / out_shape[1]];
        at[axis] += skip;
        let base = at[0] + shape[0] * (at[1] + shape[1] * at[2]) - at[axis] * stride;
        let taps = (0..5).filter(|t| (2..shape[axis] + 2).contains(&(at[axis] + t)));
        out.push(taps.map(|t| KERNEL[t] * data[base + (at[axis] + t - 2) * stride]).sum());
    }
    (out, out_shape)
}

/// A norm-free network of known receptive field: 4 voxels to each side of every axis.
fn two_layers(valid: bool) -> impl Fn(&[f32], [usize; 3]) -> Vec<f32> {
    move |patch, shape| {
        let (mut data, mut shape) = (patch.to_vec(), shape);
        for _ in 0..2 {
            for axis in 0..3 {
                (data, shape) = convolution(shape, &data, axis, valid);
            }
            data.iter_mut().for_each(|v| *v = v.max(-0.2) + 0.05);
        }
        data
    }
}

/// Stride 2: the mean of each pair along i, a convolution of it, the value repeated. It sees 2 pairs beyond its own: 5.
fn strided(patch: &[f32], shape: [usize; 3]) -> Vec<f32> {
    let half = [shape[0] / 2, shape[1], shape[2]];
    let pairs: Vec<f32> = patch.chunks(2).map(|p| 0.5 * (p[0] + p[1]) + 1.0).collect();
    let (low, _) = convolution(half, &pairs, 0, false);
    low.iter().flat_map(|v| [*v, *v]).collect()
}

fn texture(shape: [usize; 3]) -> Vec<f32> {
    (0..shape.iter().product::<usize>()).map(|n| ((n * 7919 % 1009) as f32 / 1009.0 - 0.3) * 2.0).collect()
}

/// The laws of every layout: places, order, early planes, coverage, and a constant that comes back.
fn check_tiling(tiling: &Tiling, shape: [usize; 3], network: &NetworkShape) -> Layout {
    let layout = Layout::new(tiling, shape, network).unwrap();
    let tiles: Vec<_> = layout.tiles().collect();
    assert_eq!((tiles.len(), layout.is_empty()), (layout.len(), false));
    assert!(layout.tile(layout.len()).is_none());
    for tile in &tiles {
        assert!(!tile.write.is_empty() && (0..3).all(|a| tile.write.end[a] <= shape[a]), "{tile:?}");
        for axis in 0..3 {
            assert!(tile.keep[axis] + tile.write.shape()[axis] <= layout.output()[axis], "{tile:?}");
            let margin = (layout.patch()[axis] - layout.output()[axis]) / 2;
            let place = tile.read.start[axis] + isize::try_from(margin + tile.keep[axis]).unwrap();
            assert_eq!(place, isize::try_from(tile.write.start[axis]).unwrap(), "axis {axis} of {tile:?}");
        }
    }
    for number in 0..=tiles.len() {
        let later = tiles[number..].iter().map(|t| t.write.start[2]).min().unwrap_or(shape[2]);
        assert_eq!(layout.finished_before(number), later);
    }
    for batch in [1, 3] {
        let layout = layout.clone().with_batch(batch);
        let alive = (0..layout.passes()).map(|pass| {
            let end = tiles.iter().take((pass + 1) * batch).map(|t| t.write.end[2]).max().unwrap();
            end - layout.finished_before(pass * batch)
        });
        assert_eq!(layout.ring_planes(), alive.max().unwrap());
        assert!(layout.ring_planes() <= shape[2]);
    }
    let network = identity(if network.margin == [0; 3] { [0; 3] } else { network.margin });
    let constant = vec![0.7; shape.iter().product()];
    if layout.input_shape(1, 1)[1] == 1 {
        let back = stitched(&layout, &constant, &network, 0..layout.len());
        let inside = back.iter().all(|v| (v - 0.7).abs() <= 2e-6);
        assert!(inside, "a constant does not come back");
        let source = texture(shape);
        let forward = stitched(&layout, &source, &network, 0..layout.len());
        let backward = stitched(&layout, &source, &network, (0..layout.len()).rev());
        let abutting = layout.weights().unwrap().is_none();
        let same = |a: &f32, b: &f32| if abutting { a == b } else { (a - b).abs() < 2e-6 };
        assert!(forward.iter().zip(&source).all(|(a, b)| same(a, b)), "voxels are moved");
        assert!(forward.iter().zip(&backward).all(|(a, b)| same(a, b)), "the order matters");
    }
    layout
}

fn window(patch: [usize; 3], overlap: f64, starts: Starts, importance: Importance) -> Tiling {
    let mut window = SlidingWindow::nnunet(patch);
    (window.overlap, window.starts, window.importance) = (overlap, starts, importance);
    Tiling::SlidingWindow(window)
}

#[test]
fn edge_questions() {
    let any = NetworkShape::padded([1; 3]);
    for shape in [[1, 1, 1], [5, 1, 3], [20, 9, 1], [3, 30, 2]] {
        for overlap in [0.0, 0.5, 0.99] {
            for (starts, importance) in [
                (Starts::Nnunet, Importance::Nnunet),
                (Starts::Monai, Importance::Monai),
                (Starts::Monai, Importance::Uniform),
            ] {
                check_tiling(&window([8, 8, 8], overlap, starts, importance), shape, &any);
                check_tiling(&window([4, 3, 1], overlap, starts, importance), shape, &any);
            }
        }
        check_tiling(&Tiling::Whole(Whole::default()), shape, &NetworkShape::padded([16; 3]));
        let valid = NetworkShape::valid([11, 11, 11], [2; 3], [5; 3]);
        check_tiling(&Tiling::Whole(Whole::new(Padding::Reflect)), shape, &valid);
        for last in [LastTile::Shift, LastTile::Cut] {
            let mut tile = OverlapTile::new([13; 3]);
            tile.last = last;
            check_tiling(&Tiling::OverlapTile(tile), shape, &valid);
        }
        let seeing = NetworkShape::padded([2; 3]).with_receptive_halo([1; 3]);
        check_tiling(&Tiling::Exact(Exact::new([4; 3])), shape, &seeing);
    }
}

#[test]
fn the_2015_network_on_a_stack() {
    let network = NetworkShape::valid([188, 188, 1], [16, 16, 0], [92, 92, 0]).two_dimensional();
    let tiling = Tiling::Slices(Slices::new(SliceAxis::K, Tiling::OverlapTile(OverlapTile::new([572; 3]))));
    let layout = check_tiling(&tiling, [512, 400, 3], &network);
    assert_eq!(layout.len(), 2 * 2 * 3);
    assert_eq!((layout.patch(), layout.output()), ([572, 572, 1], [388, 388, 1]));
    assert_eq!((layout.input_shape(1, 1), layout.output_shape(1, 2)), (vec![1, 1, 572, 572], vec![1, 2, 388, 388]));
    let last = layout.tile(3).unwrap();
    assert_eq!((last.read.start, last.write.start), ([512 - 388 - 92, 400 - 388 - 92, 0], [388, 388, 0]));
    assert_eq!((layout.ring_planes(), layout.ring_bytes(2)), (1, 512 * 400 * 2 * 4));

    let wrong = Tiling::Slices(Slices::new(SliceAxis::K, Tiling::OverlapTile(OverlapTile::new([570; 3]))));
    let error = Layout::new(&wrong, [512, 512, 1], &network).unwrap_err();
    assert_eq!((error.kind(), error.advice()), (ErrorKind::Model, Some("the nearest are 556 and 572")));
}

#[test]
fn slices_across_any_axis_with_neighbors_and_batches() {
    let shape = [5, 6, 4];
    let source = texture(shape);
    let network = NetworkShape::padded([4, 2, 1]).two_dimensional();
    for axis in [SliceAxis::I, SliceAxis::J, SliceAxis::K] {
        check_tiling(&Tiling::Slices(Slices::new(axis, Tiling::default())), shape, &network);
        let plane = window([4; 3], 0.5, Starts::Nnunet, Importance::Nnunet);
        check_tiling(&Tiling::Slices(Slices::new(axis, plane)), shape, &network);

        let mut slices = Slices::new(axis, Tiling::default());
        (slices.slices, slices.batch) = (3, 4);
        let layout = check_tiling(&Tiling::Slices(slices), shape, &network);
        let count = shape[axis.index()];
        assert_eq!((layout.len(), layout.passes()), (count, count.div_ceil(4)));
        assert_eq!(layout.input_shape(4, 2)[..2], [4, 6]);
        // A network that gives back neighbor `s` shifts the volume by one slice, the edge slice repeated.
        for s in 0..3 {
            let pick = move |patch: &[f32], shape: [usize; 3]| {
                let plane = shape[0] * shape[1];
                patch[s * plane..(s + 1) * plane].to_vec()
            };
            let out = stitched(&layout, &source, &pick, 0..layout.len());
            for (n, value) in out.into_iter().enumerate() {
                let mut at = [n % 5, n / 5 % 6, n / 30];
                at[axis.index()] = (at[axis.index()] + s).saturating_sub(1).min(count - 1);
                assert_eq!(value, source[at[0] + 5 * (at[1] + 6 * at[2])], "{axis:?} neighbor {s} voxel {n}");
            }
        }
    }
}

#[test]
fn tiles_with_enough_halo_equal_the_untiled_network() {
    let shape = [23, 18, 13];
    let source = texture(shape);
    let close = |tiling: Tiling, whole: Tiling, shape_of: &NetworkShape, network: &Network, least: usize| {
        let layout = check_tiling(&tiling, shape, shape_of);
        assert!(layout.len() >= least, "{} tiles prove little", layout.len());
        let tiled = stitched(&layout, &source, network, 0..layout.len());
        let untiled = stitched(&Layout::new(&whole, shape, shape_of).unwrap(), &source, network, 0..1);
        let worst = tiled.iter().zip(&untiled).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= 1e-5, "{tiling:?}: {worst}");
    };
    let reflect = || Tiling::Whole(Whole::new(Padding::Reflect));
    let valid = NetworkShape::valid([9; 3], [1; 3], [8; 3].map(|m| m / 2));
    for last in [LastTile::Shift, LastTile::Cut] {
        let mut tile = OverlapTile::new([13, 14, 12]);
        tile.last = last;
        close(Tiling::OverlapTile(tile), reflect(), &valid, &two_layers(true), 30);
    }
    let padded = NetworkShape::padded([1; 3]).with_receptive_halo([4; 3]);
    close(Tiling::Exact(Exact::new([12, 11, 10])), Tiling::default(), &padded, &two_layers(false), 12);
    close(Tiling::Exact(Exact::new([12, 99, 99])), Tiling::default(), &padded, &two_layers(false), 2);

    let stride = NetworkShape::padded([2, 1, 1]).with_receptive_halo([5, 0, 0]);
    close(Tiling::Exact(Exact::new([12, 5, 5])), Tiling::default(), &stride, &strided, 20);
    let mut out_of_step = NetworkShape::padded([2, 1, 1]).with_receptive_halo([1, 0, 0]);
    out_of_step.minimum = [6, 1, 1];
    let layout = Layout::new(&Tiling::Exact(Exact::new([12, 5, 5])), shape, &out_of_step).unwrap();
    let tiled = stitched(&layout, &source, &strided, 0..layout.len());
    let untiled = stitched(&Layout::new(&Tiling::default(), shape, &out_of_step).unwrap(), &source, &strided, 0..1);
    assert_ne!(tiled, untiled, "a halo too short must be seen by this test");
}

#[test]
fn what_does_not_go_together_is_refused_with_advice() {
    let refused = |tiling: Tiling, network: NetworkShape| {
        let error = Layout::new(&tiling, [40; 3], &network).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Model, "{error}");
        error.to_string()
    };
    let padded = NetworkShape::padded([8; 3]);
    let valid = NetworkShape::valid([20; 3], [8; 3], [8; 3]);
    assert!(refused(Tiling::default(), padded.two_dimensional()).contains("slices"));
    assert!(refused(Tiling::Slices(Slices::new(SliceAxis::K, Tiling::default())), padded).contains("2-D"));
    assert!(refused(Tiling::SlidingWindow(SlidingWindow::monai([20; 3])), valid).contains("as large"));
    assert!(refused(Tiling::Exact(Exact::new([20; 3])), valid).contains("as large"));
    assert!(refused(Tiling::Exact(Exact::new([24; 3])), padded).contains("sees all"));
    assert!(refused(Tiling::Exact(Exact::new([24; 3])), padded.with_receptive_halo([9; 3])).contains("no core"));
    assert!(refused(Tiling::Whole(Whole::default()), NetworkShape::fixed([32; 3])).contains("no other number"));
    assert!(refused(window([8; 3], 1.0, Starts::Monai, Importance::Uniform), padded).contains("overlap"));
    assert!(refused(window([8; 3], f64::NAN, Starts::Monai, Importance::Uniform), padded).contains("overlap"));
    let mut tile = OverlapTile::new([20; 3]);
    tile.halo = Some([7; 3]);
    assert!(refused(Tiling::OverlapTile(tile.clone()), valid).contains("halo"));
    tile.halo = Some([usize::MAX; 3]);
    assert!(refused(Tiling::OverlapTile(tile), valid).contains("halo"));
    let mut even = Slices::new(SliceAxis::I, Tiling::default());
    even.slices = 2;
    assert!(refused(Tiling::Slices(even), padded.two_dimensional()).contains("odd"));
    let nested = Tiling::Slices(Slices::new(SliceAxis::I, Tiling::default()));
    assert!(refused(Tiling::Slices(Slices::new(SliceAxis::I, nested)), padded.two_dimensional()).contains("again"));
    let empty = Layout::new(&Tiling::default(), [4, 0, 4], &padded).unwrap_err();
    assert_eq!(empty.kind(), ErrorKind::Usage);
}

#[test]
fn a_description_survives_text_and_refuses_what_it_does_not_know() {
    let tilings = [
        Tiling::OverlapTile(OverlapTile::new([572, 572, 1])),
        Tiling::SlidingWindow(SlidingWindow::monai([96; 3])),
        Tiling::Slices(Slices::new(SliceAxis::J, Tiling::SlidingWindow(SlidingWindow::nnunet([64; 3])))),
        Tiling::Whole(Whole::new(Padding::Constant(-1024.0))),
        Tiling::Exact(Exact::new([96; 3])),
    ];
    for tiling in tilings {
        let text = serde_json::to_string(&tiling).unwrap();
        assert_eq!(serde_json::from_str::<Tiling>(&text).unwrap(), tiling, "{text}");
    }
    let toml =
        "method = \"slices\"\naxis = \"i\"\nslices = 3\n[plane]\nmethod = \"overlap-tile\"\npatch = [572, 572, 1]\n";
    let Tiling::Slices(slices) = toml::from_str::<Tiling>(toml).unwrap() else { panic!("not slices") };
    assert_eq!((slices.axis, slices.slices, slices.padding), (SliceAxis::I, 3, Padding::Edge));
    assert_eq!(*slices.plane, Tiling::OverlapTile(OverlapTile::new([572, 572, 1])));
    assert!(toml::from_str::<Tiling>("method = \"whole\"\npatch = [1, 1, 1]\n").is_err());
    assert!(toml::from_str::<Tiling>("method = \"sliding\"\n").is_err());
}

fn golden() -> Option<Value> {
    let text = std::fs::read_to_string(shared("data/golden/importance.json")?).unwrap();
    Some(serde_json::from_str(&text).unwrap())
}

fn numbers(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect()
}

fn count(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

#[test]
fn importance_maps_are_those_of_the_families() {
    let Some(golden) = golden() else { return };
    let mut seen = HashMap::new();
    for case in golden["maps"].as_array().unwrap() {
        let shape: Vec<usize> = case["shape"].as_array().unwrap().iter().map(count).collect();
        let style = case["style"].as_str().unwrap();
        let importance = if style.starts_with("nnunet") { Importance::Nnunet } else { Importance::Monai };
        let map = importance.map([shape[0], shape[1], shape[2]], 0.125).unwrap();
        for i in 0..shape[0] {
            for j in 0..shape[1] {
                for k in 0..shape[2] {
                    let want = case["map"][i][j][k].as_f64().unwrap();
                    let got = f64::from(map[i + shape[0] * (j + shape[1] * k)]);
                    assert!((got - want).abs() <= 2e-7 * want, "{style} {shape:?} at {i} {j} {k}: {got} for {want}");
                }
            }
        }
        *seen.entry(importance).or_insert(0) += 1;
    }
    assert_eq!(seen, HashMap::from([(Importance::Nnunet, 2), (Importance::Monai, 2)]));
}

#[test]
fn windows_start_where_those_of_nnunet_do() {
    let Some(golden) = golden() else { return };
    let cases = golden["nnunet_steps"].as_array().unwrap();
    assert_eq!(cases.len(), 10);
    for case in cases {
        let (image, tile) = (count(&case["image"]), count(&case["tile"]));
        let tiling = window([tile, 1, 1], 1.0 - case["step"].as_f64().unwrap(), Starts::Nnunet, Importance::Nnunet);
        let layout = Layout::new(&tiling, [image.max(tile), 1, 1], &NetworkShape::padded([1; 3])).unwrap();
        let starts: Vec<i64> = layout.tiles().map(|t| i64::try_from(t.read.start[0]).unwrap()).collect();
        assert_eq!(starts, numbers(&case["starts"]), "{case}");
    }
}

#[test]
fn mirrors_bounce_as_those_of_numpy() {
    let Some(golden) = golden() else { return };
    let cases = golden["mirror_index"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let n = count(&case["n"]);
        let from = isize::try_from(case["from"].as_i64().unwrap()).unwrap();
        for (padding, name) in [(Padding::Reflect, "reflect101"), (Padding::Symmetric, "symmetric")] {
            let want = numbers(&case[name]);
            let indices = (from..).take(want.len()).map(|at| padding.index(at, n).unwrap());
            assert_eq!(indices.map(|v| i64::try_from(v).unwrap()).collect::<Vec<_>>(), want, "{name} of {n}");
        }
    }
    assert_eq!([-3, 9].map(|at| Padding::Edge.index(at, 4)), [Some(0), Some(3)]);
    assert_eq!([-1, 2, 4].map(|at| Padding::Constant(1.0).index(at, 4)), [None, Some(2), None]);
}

fn sides(range: std::ops::Range<usize>) -> impl Strategy<Value = [usize; 3]> {
    [range.clone(), range.clone(), range]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn windows_cover_any_volume(
        shape in sides(1..14), patch in sides(1..9), overlap in 0.0..0.95_f64, nnunet in any::<bool>(),
    ) {
        let starts = if nnunet { Starts::Nnunet } else { Starts::Monai };
        check_tiling(&window(patch, overlap, starts, Importance::Nnunet), shape, &NetworkShape::padded([1; 3]));
    }

    #[test]
    fn abutting_tiles_cover_any_volume_once(
        shape in sides(1..14), margin in sides(0..4), tile in sides(1..6), more in sides(0..3), shift in any::<bool>(),
    ) {
        let network = NetworkShape::valid(margin.map(|m| 2 * m + 1), [1; 3], margin);
        let mut way = OverlapTile::new([0, 1, 2].map(|a| tile[a] + 2 * (margin[a] + more[a])));
        way.halo = Some([0, 1, 2].map(|a| margin[a] + more[a]));
        way.last = if shift { LastTile::Shift } else { LastTile::Cut };
        check_tiling(&Tiling::OverlapTile(way), shape, &network);
    }

    #[test]
    fn exact_tiles_are_exact_for_any_volume(shape in sides(1..24), steps in 0..3_usize) {
        let network = NetworkShape::padded([2, 1, 1]).with_receptive_halo([5, 0, 0]);
        let layout = check_tiling(&Tiling::Exact(Exact::new([12 + 2 * steps, 5, 7])), shape, &network);
        let source = texture(shape);
        let whole = Layout::new(&Tiling::default(), shape, &network).unwrap();
        let tiled = stitched(&layout, &source, &strided, 0..layout.len());
        prop_assert_eq!(tiled, stitched(&whole, &source, &strided, 0..1));
    }
}
