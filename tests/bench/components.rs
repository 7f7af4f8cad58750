//! Components, filters, statistics and distances on volumes of 256^3 voxels: best seconds of one thread.
//!
//! `cargo bench --bench components` prints a JSON object of seconds by step; with `-- --write FOLDER` it also writes the
//! volumes (raw, i fastest) for `tests/bench/components_vs_peers.py`, which prints ratios.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "a bench prints and may panic"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use unet_vol::evaluate::{EvaluateOptions, evaluate};
use unet_vol::labels::{Components, Connectivity, Step, postprocess, statistics};
use unet_vol::volume::LabelTable;
use unet_vol::{Affine, Grid, LabelMap, Volume};

const SIDE: usize = 256;
/// Each step runs at least so often and so long; the best time counts.
const REPETITIONS: usize = 5;
const LEAST_SECONDS: f64 = 0.5;

fn noise(n: usize) -> u32 {
    let mut x = (n as u32).wrapping_mul(0x9E37_79B1) ^ 0x5bd1_e995;
    x ^= x >> 15;
    x = x.wrapping_mul(0x85eb_ca6b);
    x ^ x >> 13
}

fn volume<T>(value: impl Fn([usize; 3], usize) -> T) -> Volume<T> {
    let grid = Grid::new([SIDE; 3], Affine::from_spacing([1.0, 1.0, 2.5], [0.0; 3]).unwrap()).unwrap();
    let place = |n: usize| [n % SIDE, n / SIDE % SIDE, n / SIDE / SIDE];
    Volume::new(grid, (0..SIDE * SIDE * SIDE).map(|n| value(place(n), n)).collect()).unwrap()
}

/// Squared distance from the centre, 1 at the surface of an ellipsoid that fills most of the volume.
fn ellipsoid([i, j, k]: [usize; 3]) -> f64 {
    let part = |n: usize, radius: f64| ((n as f64 - 127.5) / radius).powi(2);
    part(i, 80.0) + part(j, 100.0) + part(k, 85.0)
}

/// A head of 32 structures around seeds, with rough borders.
fn structures() -> Volume<u16> {
    let seeds: Vec<[f64; 3]> =
        (0..32).map(|n| [0, 1, 2].map(|axis| 60.0 + f64::from(noise(3 * n + axis) % 136))).collect();
    volume(|at, n| {
        if ellipsoid(at) > 1.0 {
            return 0;
        }
        let rough = [0, 1, 2].map(|axis| at[axis] as f64 + f64::from(noise(n + axis) % 3));
        let square = |seed: &[f64; 3]| (0..3).map(|axis| (seed[axis] - rough[axis]).powi(2)).sum::<f64>();
        let nearest = seeds.iter().enumerate().min_by(|a, b| square(a.1).total_cmp(&square(b.1)));
        nearest.map_or(0, |(seed, _)| seed as u16 + 1)
    })
}

struct Bench(BTreeMap<&'static str, f64>);

impl Bench {
    fn time<T>(&mut self, name: &'static str, mut step: impl FnMut() -> T) {
        self.time_on(name, &(), |()| step());
    }

    /// As `time`, on a fresh copy each time whose making is not counted.
    fn time_on<T, M: Clone>(&mut self, name: &'static str, map: &M, mut step: impl FnMut(&mut M) -> T) {
        let (begin, mut best, mut runs) = (Instant::now(), f64::INFINITY, 0);
        while runs < REPETITIONS || begin.elapsed().as_secs_f64() < LEAST_SECONDS {
            let mut map = map.clone();
            let since = Instant::now();
            black_box(step(&mut map));
            best = since.elapsed().as_secs_f64().min(best);
            runs += 1;
        }
        self.0.insert(name, best);
    }
}

fn all() -> BTreeMap<&'static str, f64> {
    let structures = structures();
    let bytes = Volume::new(*structures.grid(), structures.data().iter().map(|&id| id as u8).collect()).unwrap();
    let specks =
        volume(|at, n| u8::from(ellipsoid(at) < 1.0 && !noise(n).is_multiple_of(3000) || noise(n) % 2500 == 1));
    let random = volume(|_, n| (noise(n) & 1) as u8);
    let black = volume(|_, _| 0_u8);
    let shifted = volume(|[i, j, k], _| structures.data()[(i + 2) % SIDE + SIDE * (j + SIDE * ((k + 1) % SIDE))]);
    if let Some(folder) = std::env::args().skip_while(|arg| arg != "--write").nth(1) {
        let write = |name: &str, bytes: &[u8]| std::fs::write(format!("{folder}/{name}.u8"), bytes).unwrap();
        write("structures", bytes.data());
        write("specks", specks.data());
        write("random", random.data());
        write("shifted", &shifted.data().iter().map(|&id| id as u8).collect::<Vec<_>>());
    }

    let mut bench = Bench(BTreeMap::new());
    let (six, all) = (Connectivity::Six, Connectivity::TwentySix);
    bench.time("components structures 26", || Components::new(&bytes, all));
    bench.time("components structures 6", || Components::new(&bytes, six));
    bench.time("components structures 26, u16 in", || Components::new(&structures, all));
    bench.time("components specks 26", || Components::new(&specks, all));
    bench.time("components random 26", || Components::new(&random, all));
    bench.time("components random 6", || Components::new(&random, six));
    bench.time("components black 26", || Components::new(&black, all));
    bench.time("painted u32 structures 26", || Components::new(&bytes, all).unwrap().paint::<u32>());
    bench.time("painted u16 structures 26", || Components::new(&bytes, all).unwrap().paint::<u16>());
    let found = Components::new(&specks, all).unwrap();
    bench.time("table specks", || found.table());

    let map = LabelMap::new(structures.clone(), LabelTable::default());
    let mask = specks.data().iter().map(|&id| u16::from(id)).collect();
    let mask = LabelMap::new(Volume::new(*specks.grid(), mask).unwrap(), LabelTable::default());
    let step = |text: &str| [serde_json::from_str::<Step>(text).unwrap()];
    let largest = step(r#"{"keep_largest": {"labels": "foreground"}}"#);
    bench.time_on("largest specks 26", &mask, |map| postprocess(map, &largest));
    let largest = step(r#"{"keep_largest": {}}"#);
    bench.time_on("largest structures 26", &map, |map| postprocess(map, &largest));
    let fill = step(r#"{"fill_holes": {"labels": "foreground"}}"#);
    bench.time_on("fill specks", &mask, |map| postprocess(map, &fill));
    let near = step(r#"{"near": {"labels": [5], "to": {"except": [5]}, "distance_mm": 10}}"#);
    bench.time_on("near structures 10 mm", &map, |map| postprocess(map, &near));
    bench.time("statistics structures", || statistics(&map, None));
    let image = volume(|_, n| noise(n) as f32);
    bench.time("statistics structures, intensities", || statistics(&map, Some(&image)));
    let shifted = LabelMap::new(shifted, LabelTable::default());
    bench.time("evaluate structures", || evaluate(&map, &shifted, &EvaluateOptions::default()));
    bench.0
}

fn main() {
    // `cargo test` runs benches too, without this argument.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    // One thread, as the peers have.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    println!("{}", serde_json::to_string_pretty(&pool.install(all)).unwrap());
}
