//! One stage of a study, timed in a process of its own for `tests/bench/vs_peers.py`.
//!
//! ```text
//! cargo bench --bench stages -- STAGE FOLDER [--threads N] [--output FILE]
//! ```
//! `FOLDER` holds what `tests/bench/inputs.py` makes. Prints one line of JSON: the best wall and processor seconds of at least two
//! runs and one second. The result goes to `FILE` (little-endian, i fastest), so that the peers can be compared with it.
//!
//! Three stages are floors: `triad` (memory bandwidth), `inflate` and `deflate` (the compression alone).
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    reason = "a program for developers that ends at the first error"
)]

mod clock;

use std::collections::HashMap;
use std::hint::black_box;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use clock::processor_seconds;
use rayon::prelude::*;
use serde_json::{Value, json};
use unet_vol::batch::{OutputPaths, StudyOptions};
use unet_vol::formats::{self, ReadOptions};
use unet_vol::geometry::GridRule;
use unet_vol::inference::{self, Backend, EngineChoice, ModelFile, Predictor, TensorInfo, TensorView};
use unet_vol::labels::{DecideOptions, Decider};
use unet_vol::model::Model;
use unet_vol::pipeline::{Pipeline, Stage};
use unet_vol::report::Manifest;
use unet_vol::resample::{Border, Method, Outside, ResampleOptions, resample};
use unet_vol::volume::LabelMap;
use unet_vol::{Affine, Grid, Overwrite, Result, Volume};

/// Rows of the oblique map from target to source voxels; `peers.py` has the same.
const OBLIQUE: [[f64; 4]; 3] = [[1.15, 0.08, -0.05, 12.0], [-0.07, 1.15, 0.04, 16.0], [0.06, -0.03, 1.15, 8.0]];
const CLASSES: u16 = 33;
const LEAST_RUNS: usize = 2;
const LEAST_SECONDS: f64 = 1.0;
/// As `formats` writes labels.
const LABEL_LEVEL: u32 = 6;
const BLOCK: usize = 1 << 20;

/// Wall and processor seconds.
#[derive(Debug, Clone, Copy, Default)]
struct Seconds {
    wall: f64,
    processor: f64,
}

impl Seconds {
    fn of<T>(work: impl FnOnce() -> T) -> (Self, T) {
        let (start, before) = (Instant::now(), processor_seconds());
        let out = black_box(work());
        (Self { wall: start.elapsed().as_secs_f64(), processor: processor_seconds() - before }, out)
    }

    fn best(self, other: Self) -> Self {
        Self { wall: self.wall.min(other.wall), processor: self.processor.min(other.processor) }
    }

    fn less(self, other: Self) -> Self {
        Self { wall: self.wall - other.wall, processor: self.processor - other.processor }
    }

    fn json(self) -> Value {
        json!({ "wall": self.wall, "cpu": self.processor })
    }
}

/// The best of a few runs, and what the last one gave.
fn measure<T>(mut work: impl FnMut() -> T) -> (Seconds, T) {
    let begin = Instant::now();
    let (mut best, mut out) = Seconds::of(&mut work);
    let mut runs = 1;
    while runs < LEAST_RUNS || begin.elapsed().as_secs_f64() < LEAST_SECONDS {
        drop(out);
        let (seconds, next) = Seconds::of(&mut work);
        (best, out, runs) = (best.best(seconds), next, runs + 1);
    }
    (best, out)
}

struct Bench {
    folder: PathBuf,
    output: Option<PathBuf>,
}

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let bytes = std::fs::read(self.path(name)).unwrap();
        bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }

    /// Times `work` and writes its voxels, as `bytes` turns them.
    fn voxels<T, const N: usize>(&self, bytes: fn(&T) -> [u8; N], work: impl FnMut() -> Result<Volume<T>>) -> Value {
        let (seconds, out) = measure(work);
        let out = out.unwrap();
        if let Some(path) = &self.output {
            std::fs::write(path, out.data().iter().flat_map(bytes).collect::<Vec<_>>()).unwrap();
        }
        seconds.json()
    }

    fn run(&self, stage: &str) -> Value {
        let head = || Volume::new(cube(256), self.floats("t1.f32")).unwrap();
        let half_pixel = || cube(256).resized([192; 3], GridRule::HalfPixel).unwrap();
        let oblique = || Grid::new([192; 3], Affine::from_rows(OBLIQUE).unwrap()).unwrap();
        let onto = |target: Grid, options: ResampleOptions| {
            let head = head();
            self.voxels(|v: &f32| v.to_le_bytes(), || resample(&head, &target, &options))
        };
        let read = ReadOptions::new();
        let (t1, labels) = (self.path("t1.nii.gz"), self.path("labels.nii.gz"));
        match stage {
            "read" => self.voxels(|v: &f32| v.to_le_bytes(), || Ok(formats::read(&t1, &read)?.volume)),
            "read-plain" | "read-lossless" => {
                let series = self.path(&stage.replace("read-", "dicom/"));
                self.voxels(|v: &f32| v.to_le_bytes(), || Ok(formats::read(&series, &read)?.volume))
            }
            "read-labels" => {
                self.voxels(|v: &u16| v.to_le_bytes(), || Ok(formats::read_labels(&labels, &read)?.labels.ids))
            }
            "write-labels" => self.write(&labels),
            #[cfg(feature = "dicom")]
            "write-seg" => self.write_segmentation(&labels),
            "linear" => onto(half_pixel(), ResampleOptions::new(Method::Linear)),
            "oblique" => onto(oblique(), ResampleOptions::new(Method::Linear)),
            "cubic" => onto(half_pixel(), ResampleOptions::new(Method::Cubic).with_border(Border::Mirror)),
            "decide" => self.decide(),
            "beside" => self.beside(),
            "triad" => triad(),
            "inflate" => inflate(&t1),
            "deflate" => deflate(&labels),
            _ => panic!("there is no stage {stage}"),
        }
    }

    fn write(&self, labels: &Path) -> Value {
        let study = formats::read_labels(labels, &ReadOptions::new()).unwrap();
        let path = self.path("ours_labels.nii.gz");
        let write = || formats::write_labels(&path, &study.labels, &study.source, Overwrite::Replace);
        let (seconds, done) = measure(write);
        done.unwrap();
        json!({ "wall": seconds.wall, "cpu": seconds.processor, "bytes": std::fs::metadata(&path).unwrap().len() })
    }

    /// The labels as a binary DICOM segmentation of the series that `inputs.py` made of the head.
    #[cfg(feature = "dicom")]
    fn write_segmentation(&self, labels: &Path) -> Value {
        use unet_vol::formats::dicom::{SegmentationOptions, write_segmentation};
        let study = formats::read_labels(labels, &ReadOptions::new()).unwrap();
        let series = formats::read(self.path("series"), &ReadOptions::new()).unwrap();
        let grid = *series.volume.grid();
        let ids = study.labels.ids.reoriented(grid.orientation()).with_grid(grid).unwrap();
        let labels = LabelMap::new(ids, study.labels.table);
        let path = self.path("ours_seg.dcm");
        let mut options = SegmentationOptions::default();
        options.overwrite = Overwrite::Replace;
        let (seconds, done) = measure(|| write_segmentation(&path, &labels, &series.source, &options));
        done.unwrap();
        json!({ "wall": seconds.wall, "cpu": seconds.processor, "bytes": std::fs::metadata(&path).unwrap().len() })
    }

    fn decide(&self) -> Value {
        let working = Grid::new([96, 112, 96], Affine::from_spacing([2.0; 3], [0.0; 3]).unwrap()).unwrap();
        let target = working.resized([192, 224, 192], GridRule::HalfPixel).unwrap();
        let scores = self.floats("scores.f32");
        let options = DecideOptions::new((0..CLASSES).collect()).with_outside(Outside::Clamp);
        self.voxels(
            |id: &u16| id.to_le_bytes(),
            || {
                let mut decider = Decider::new(&working, &target, &options)?;
                decider.push(&scores, working.shape()[2])?;
                decider.finish()
            },
        )
    }

    /// `unet-vol segment` with statistics, picture and manifest, less what the network takes. The first run counts, as in
    /// the program: its memory is fresh.
    fn beside(&self) -> Value {
        let opening = Seconds::of(|| {
            let model = Model::bundled("brain-mri").unwrap();
            let mut options = inference::Options::default();
            options.engine = EngineChoice::Embedded;
            let (engine, _) = inference::open(&ModelFile::from(&model), &options).unwrap();
            (model, engine)
        });
        let (opening, (model, engine)) = opening;
        let spent: &'static Mutex<Seconds> = Box::leak(Box::default());
        let pipeline = Pipeline::with_predictor(model.spec().clone(), Box::new(Timed { engine, spent })).unwrap();
        let mut outputs = OutputPaths::new(self.path("beside.nii.gz"));
        outputs.statistics = Some(self.path("beside.csv"));
        outputs.preview = Some(self.path("beside.png"));
        outputs.manifest = Some(self.path("beside.json"));
        outputs.overwrite = Overwrite::Replace;
        let (whole, manifest) =
            Seconds::of(|| pipeline.run_files(&[self.path("head.nii.gz")], &StudyOptions::default())?.write(&outputs));
        let network = *spent.lock().unwrap();
        let beside = whole.less(network);
        let stages = by_stage(&manifest.unwrap(), whole.wall, network.wall);
        json!({ "wall": beside.wall, "cpu": beside.processor, "stages": stages,
                "network": network.json(), "opening": opening.json() })
    }
}

/// Wall seconds of each stage, the network's own taken from its stage.
fn by_stage(manifest: &Manifest, whole: f64, network: f64) -> Value {
    let mut stages: HashMap<_, _> = manifest.seconds.iter().map(|s| (s.stage.name(), s.seconds)).collect();
    let named: f64 = stages.values().sum();
    let deciding = stages.remove(Stage::Network.name()).unwrap() - network;
    stages.insert("decide", deciding);
    stages.insert("statistics", whole - named);
    json!(stages)
}

/// An engine whose time is kept.
#[derive(Debug)]
struct Timed {
    engine: Box<dyn Predictor>,
    spent: &'static Mutex<Seconds>,
}

impl Predictor for Timed {
    fn input(&self) -> &TensorInfo {
        self.engine.input()
    }

    fn output(&self) -> &TensorInfo {
        self.engine.output()
    }

    fn backend(&self) -> &Backend {
        self.engine.backend()
    }

    fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        self.engine.output_shape(shape)
    }

    fn working_bytes(&self, shape: &[usize]) -> Result<u64> {
        self.engine.working_bytes(shape)
    }

    fn predict(&self, input: TensorView<'_>, output: &mut [f32]) -> Result<()> {
        let (seconds, done) = Seconds::of(|| self.engine.predict(input, output));
        *self.spent.lock().unwrap() = seconds;
        done
    }
}

fn cube(side: usize) -> Grid {
    Grid::new([side; 3], Affine::identity()).unwrap()
}

/// McCalpin's triad, a = b + s c over 3 x 128 MiB (STREAM, 1995): bytes per second.
fn triad() -> Value {
    const LEN: usize = 32 << 20;
    let [mut a, b, c] = [0.0, 1.0, 2.0].map(|v: f32| vec![v; LEN]);
    let (seconds, ()) = measure(|| {
        let parts = a.par_chunks_mut(BLOCK).zip(b.par_chunks(BLOCK).zip(c.par_chunks(BLOCK)));
        parts.for_each(|(a, (b, c))| a.iter_mut().zip(b.iter().zip(c)).for_each(|(a, (b, c))| *a = b + 3.0 * c));
    });
    let bytes = 3.0 * 4.0 * f64::from(u32::try_from(LEN).unwrap());
    json!({ "wall": seconds.wall, "cpu": seconds.processor, "bytes_per_second": bytes / seconds.wall })
}

fn inflate(path: &Path) -> Value {
    let bytes = std::fs::read(path).unwrap();
    let mut buffer = vec![0; 256 << 10];
    let (seconds, ()) = measure(|| {
        let mut decoder = flate2::read::MultiGzDecoder::new(bytes.as_slice());
        while decoder.read(&mut buffer).unwrap() > 0 {}
    });
    seconds.json()
}

fn deflate(path: &Path) -> Value {
    let study = formats::read_labels(path, &ReadOptions::new()).unwrap();
    let bytes: Vec<u8> = study.labels.ids.data().iter().map(|id| id.to_le_bytes()[0]).collect();
    let (seconds, _) = measure(|| {
        let blocks = bytes.par_chunks(BLOCK).map(|block| {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(LABEL_LEVEL));
            encoder.write_all(block).unwrap();
            encoder.finish().unwrap().len()
        });
        blocks.sum::<usize>()
    });
    seconds.json()
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (Some(stage), Some(folder)) = (arguments.next(), arguments.next()) else {
        return println!("usage: stages STAGE FOLDER [--threads N] [--output FILE]");
    };
    let mut options = HashMap::new();
    while let (Some(name), Some(value)) = (arguments.next(), arguments.next()) {
        options.insert(name, value);
    }
    let threads = options.get("--threads").map_or(1, |text| text.parse().unwrap());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let bench = Bench { folder: folder.into(), output: options.get("--output").map(PathBuf::from) };
    println!("{}", pool.install(|| bench.run(&stage)));
}
