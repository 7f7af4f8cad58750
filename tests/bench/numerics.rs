//! Resampling, normalization and label decision: processor seconds of all threads, best of a few runs, beside what the
//! same work costs in the peers (measured once on a 2-core Zen 4 machine: read ratios, not digits).
//!
//! `cargo bench --bench numerics [-- NAME]` runs all cases or those whose name contains NAME.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints and may stop")]

mod clock;

use std::hint::black_box;
use std::time::Instant;

use clock::processor_seconds;
use unet_vol::geometry::{Field, GridRule};
use unet_vol::intensity::{Normalization, Over, PercentileRule, Step};
use unet_vol::labels::{DecideOptions, Decider};
use unet_vol::resample::{Border, Method, Outside, ResampleOptions, resample, resample_labels};
use unet_vol::{Affine, Grid, Volume};

const RUNS: usize = 4;

/// Runs a case and prints its processor and wall seconds beside a peer's.
fn case<T>(name: &str, peer: Option<(&str, f64)>, mut work: impl FnMut() -> T) {
    if std::env::args().skip(1).any(|arg| !arg.starts_with('-') && !name.contains(&arg)) {
        return;
    }
    let (mut processor, mut wall) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..RUNS {
        let (start, before) = (Instant::now(), processor_seconds());
        let _ = black_box(work());
        wall = wall.min(start.elapsed().as_secs_f64());
        processor = processor.min(processor_seconds() - before);
    }
    let beside = peer
        .map_or_else(String::new, |(tool, seconds)| format!("{tool:<14} {seconds:6.3} s {:6.1}x", seconds / processor));
    println!("{name:<36} {processor:8.4} s CPU {wall:8.4} s wall   {beside}");
}

/// A head-like volume: a ball of texture in noise.
#[expect(clippy::cast_precision_loss, reason = "test values")]
fn head(grid: Grid) -> Volume<f32> {
    let [ni, nj, nk] = grid.shape();
    let mut state = 1_u32;
    let mut data = Vec::with_capacity(grid.voxels());
    for (k, j, i) in itertools::iproduct!(0..nk, 0..nj, 0..ni) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let at = [(i, ni), (j, nj), (k, nk)].map(|(n, length)| n as f32 / length as f32 - 0.5);
        let inside = at.iter().map(|v| v * v).sum::<f32>() < 0.16;
        let noise = (state >> 27) as f32;
        data.push(if inside { 300.0 + 200.0 * (40.0 * at[0]).sin() + noise } else { noise });
    }
    Volume::new(grid, data).unwrap()
}

/// Scores of `classes` regions inside a ball, class 0 outside: class-major.
#[expect(clippy::cast_precision_loss, reason = "test values")]
fn scores(shape: [usize; 3], classes: usize) -> Vec<f32> {
    let [ni, nj, nk] = shape;
    let mut out = Vec::with_capacity(classes * ni * nj * nk);
    for class in 0..classes {
        let angle = class as f32 * 2.399_963;
        let height = 1.0 - 2.0 * (class as f32 + 0.5) / classes as f32;
        let radius = (1.0 - height * height).sqrt();
        let centre = [radius * angle.cos() * 0.25, radius * angle.sin() * 0.25, height * 0.25];
        for (k, j, i) in itertools::iproduct!(0..nk, 0..nj, 0..ni) {
            let at = [(i, ni), (j, nj), (k, nk)].map(|(n, length)| (n as f32 + 0.5) / length as f32 - 0.5);
            let distance = |p: [f32; 3]| (0..3).map(|a| (at[a] - p[a]).powi(2)).sum::<f32>();
            out.push(if class == 0 { 60.0 * distance([0.0; 3]) - 8.0 } else { -20.0 * distance(centre) });
        }
    }
    out
}

fn decide(working: &Grid, target: &Grid, scores: &[f32], classes: usize, depth: usize) -> Volume<u16> {
    let ids = (0..classes).map(|class| u16::try_from(class).unwrap()).collect();
    let options = DecideOptions::new(ids).with_outside(Outside::Clamp);
    let mut decider = Decider::new(working, target, &options).unwrap();
    let plane = working.shape()[0] * working.shape()[1];
    let planes = working.shape()[2];
    if depth == planes {
        decider.push(scores, depth).unwrap();
        return decider.finish().unwrap();
    }
    for k in (0..planes).step_by(depth) {
        let depth = depth.min(planes - k);
        let slab: Vec<f32> =
            (0..classes).flat_map(|c| &scores[(c * planes + k) * plane..][..depth * plane]).copied().collect();
        decider.push(&slab, depth).unwrap();
    }
    decider.finish().unwrap()
}

fn main() {
    resampling();
    normalization();
    decisions();
}

fn resampling() {
    let source = head(Grid::new([256; 3], Affine::identity()).unwrap());
    let smaller = source.grid().resized([192; 3], GridRule::HalfPixel).unwrap();
    let tilted = [[1.3, 0.08, -0.05, 2.5], [-0.07, 1.32, 0.04, 1.25], [0.06, -0.03, 1.31, 0.75]];
    let oblique = Grid::new([192; 3], Affine::from_rows(tilted).unwrap()).unwrap();
    let linear = ResampleOptions::new(Method::Linear);
    let cubic = ResampleOptions::new(Method::Cubic);
    case("linear 256^3 -> 192^3", Some(("SimpleITK", 0.108)), || resample(&source, &smaller, &linear));
    case("linear oblique", Some(("SimpleITK", 0.155)), || resample(&source, &oblique, &linear));
    case("nearest 256^3 -> 192^3", None, || resample(&source, &smaller, &ResampleOptions::new(Method::Nearest)));
    case("cubic mirror", Some(("SimpleITK", 2.2)), || resample(&source, &smaller, &cubic.with_border(Border::Mirror)));
    case("cubic edge (scikit-image)", Some(("scikit-image", 2.5)), || {
        resample(&source, &smaller, &cubic.with_border(Border::ScipyNearest).with_clip(true))
    });
    case("cubic oblique", Some(("SimpleITK", 2.2)), || resample(&source, &oblique, &cubic));
    let lia = source.clone().with_grid(
        Grid::new([256; 3], Affine::from_rows([[-1., 0., 0., 0.], [0., 0., 1., 0.], [0., -1., 0., 0.]]).unwrap())
            .unwrap(),
    );
    let lia = lia.unwrap();
    let sar = lia.grid().conformed([128; 3], [2.0; 3], "SAR".parse().unwrap()).unwrap();
    case("area 1 mm LIA -> 2 mm SAR", None, || {
        resample(&lia, &sar, &ResampleOptions::new(Method::Area).with_border(Border::FieldOfView(0.0)))
    });
    let labels = Volume::new(*source.grid(), vec![1_u16; source.data().len()]).unwrap();
    case("labels nearest 256^3 -> 192^3", None, || resample_labels(&labels, &smaller, Outside::Clamp));
}

fn normalization() {
    let mut volume = head(Grid::new([256; 3], Affine::identity()).unwrap());
    let field = Field::of(volume.grid(), &volume.grid().window([4.0; 3], [240; 3]).unwrap()).unwrap();
    let rescale = Step::RescalePercentiles {
        low_percent: 0.5,
        high_percent: 99.5,
        rule: PercentileRule::Linear,
        clip: true,
        over: Over::InField,
        epsilon: 1e-6,
    };
    for (name, step) in [
        ("percentile rescale 256^3", rescale),
        ("z-score 256^3", Step::ZScore { over: Over::Nonzero, epsilon: 1e-8 }),
        ("min-max 256^3", Step::MinMax { over: Over::All }),
    ] {
        case(name, None, || Normalization::new(vec![step]).apply_to(&mut volume, Some(&field)));
    }
}

fn decisions() {
    let working = Grid::new([96, 112, 96], Affine::from_spacing([2.0; 3], [0.0; 3]).unwrap()).unwrap();
    let target = working.resized([192, 224, 192], GridRule::HalfPixel).unwrap();
    let scores = scores(working.shape(), 33);
    println!("cells whose corners disagree: {:.1} %", 100.0 * mixed(&scores, working.shape()));
    let torch = Some(("torch", 3.3));
    case("decide 33 classes, whole", torch, || decide(&working, &target, &scores, 33, 96));
    case("decide 33 classes, slabs of 8", torch, || decide(&working, &target, &scores, 33, 8));
    case("decide 33 classes, single planes", torch, || decide(&working, &target, &scores, 33, 1));
    for code in ["LIA", "SAR", "ILP"] {
        let turned = target.mapped(target.orientation().to(code.parse().unwrap()));
        case(&format!("decide 33 classes, {code}"), torch, || decide(&working, &turned, &scores, 33, 96));
    }
    let tilt = [[0.99, 0.1, 0.0, -8.0], [-0.1, 0.98, 0.15, 0.0], [0.02, -0.15, 0.98, 10.0]];
    let affine = target.affine().after(&Affine::from_rows(tilt).unwrap());
    let tilted = Grid::new(target.shape(), affine).unwrap();
    case("decide 33 classes, oblique", torch, || decide(&working, &tilted, &scores, 33, 96));
}

/// Part of the cells of 2 x 2 x 2 voxels whose best classes are not all the same.
#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn mixed(scores: &[f32], [ni, nj, nk]: [usize; 3]) -> f64 {
    let voxels = ni * nj * nk;
    let best =
        |v: usize| (0..scores.len() / voxels).max_by(|a, b| scores[a * voxels + v].total_cmp(&scores[b * voxels + v]));
    let best: Vec<_> = (0..voxels).map(best).collect();
    let cells = itertools::iproduct!(0..nk - 1, 0..nj - 1, 0..ni - 1);
    let total = cells.clone().count() as f64;
    let differ = |&(k, j, i): &(usize, usize, usize)| {
        let at = |corner: usize| best[((k + (corner >> 2)) * nj + j + (corner >> 1 & 1)) * ni + i + (corner & 1)];
        (1..8).any(|corner| at(corner) != at(0))
    };
    cells.filter(differ).count() as f64 / total
}
