//! Times the embedded engine on a model.
//!
//! ```text
//! cargo bench --bench engine -- MODEL SHAPE [--threads N] [--rounds N] [--input FILE] [--output FILE] [--table]
//! ```
//! `SHAPE` is the input's, such as `1,1,96,96,96`; the files hold little-endian `f32`. Prints the best wall and
//! processor time of the rounds, the rate of the convolutions, the memory of the plan and, with `--table`, the time of each step.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "a program for developers that ends at the first error"
)]

mod clock;

use std::collections::HashMap;
use std::time::Instant;

use clock::processor_seconds;
use unet_vol::inference::embedded::Engine;
use unet_vol::inference::{Precision, Predictor, TensorView};

/// Positional arguments, and options with their values.
fn arguments() -> (Vec<String>, HashMap<String, String>) {
    let (mut free, mut options) = (Vec::new(), HashMap::new());
    let mut all = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = all.next() {
        match argument.strip_prefix("--") {
            Some(flag @ ("table" | "bf16")) => drop(options.insert(flag.to_owned(), String::new())),
            Some(name) => drop(options.insert(name.to_owned(), all.next().expect("an option has a value"))),
            None => free.push(argument),
        }
    }
    (free, options)
}

fn noise(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 7 & 0xffff) as f32 / 65536.0).collect()
}

fn read(path: &str) -> Vec<f32> {
    std::fs::read(path).unwrap().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn main() {
    let (free, options) = arguments();
    let [model, shape] = free.as_slice() else { return println!("usage: engine MODEL SHAPE [--threads N] ...") };
    let shape: Vec<usize> = shape.split(',').map(|n| n.parse().unwrap()).collect();
    let number = |name: &str, other: usize| options.get(name).map_or(other, |text| text.parse().unwrap());
    let precision = if options.contains_key("bf16") { Precision::Bf16 } else { Precision::Fp32 };
    let (threads, rounds) = (number("threads", 1), number("rounds", 5));
    let engine = Engine::load(model.as_ref(), precision).unwrap_or_else(|error| panic!("{error}"));
    let data = options.get("input").map_or_else(|| noise(shape.iter().product()), |path| read(path));
    let start = Instant::now();
    let output = engine.output_shape(&shape).unwrap_or_else(|error| panic!("{error}"));
    let planning = start.elapsed().as_secs_f64();
    let mut scores = vec![0.0_f32; output.iter().product()];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let (mut best, mut processor): (Option<(f64, Vec<_>)>, _) = (None, f64::INFINITY);
    for _ in 0..rounds {
        let before = processor_seconds();
        let start = Instant::now();
        let steps = pool.install(|| engine.profile(TensorView { shape: &shape, data: &data }, &mut scores)).unwrap();
        let seconds = start.elapsed().as_secs_f64();
        processor = processor.min(processor_seconds() - before);
        if best.as_ref().is_none_or(|(other, _)| seconds < *other) {
            best = Some((seconds, steps));
        }
    }
    let (seconds, steps) = best.unwrap();
    let gflop: f64 = steps.iter().map(|step| step.gflop).sum();
    if options.contains_key("table") {
        for step in &steps {
            let rate = if step.gflop > 0.0 { step.gflop / step.seconds / threads as f64 } else { 0.0 };
            println!("{:9.3} ms {rate:7.1} GFLOP/s  {} {}", step.seconds * 1e3, step.operator, step.node);
        }
    }
    println!(
        "{} ms {:.1} cpu_ms {:.1} plan_ms {:.1} gflop {gflop:.1} gflops_per_core {:.1} threads {threads} working_mib {:.1} output {output:?}",
        engine.backend().provider,
        seconds * 1e3,
        processor * 1e3,
        planning * 1e3,
        gflop / processor.min(seconds * threads as f64),
        engine.working_bytes(&shape).unwrap() as f64 / 1048576.0,
    );
    if let Some(path) = options.get("output") {
        let bytes: Vec<u8> = scores.iter().flat_map(|v| v.to_le_bytes()).collect();
        std::fs::write(path, bytes).unwrap();
    }
}
