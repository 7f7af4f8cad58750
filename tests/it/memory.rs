//! What a plan promises about memory, measured in processes of their own.

use std::process::Command;

use serde_json::{Value, json};
use unet_vol::pipeline::Pipeline;
use unet_vol::{Affine, Grid, Volume};

use crate::networks::{Network, spec};
use crate::support::{json, shared};

const WINDOW: &str = "[tiling]\nmethod = 'sliding-window'\npatch = [48, 48, 16]\noverlap = 0.5\n";

fn pipeline(classes: usize) -> Pipeline {
    let network = Network::new(3, 1, classes, |input, _, output| {
        for (class, scores) in output.chunks_mut(input.len()).enumerate() {
            scores.iter_mut().zip(input).for_each(|(score, x)| *score = -(x - class as f32).abs());
        }
    });
    Pipeline::with_predictor(spec(classes, WINDOW), Box::new(network)).unwrap()
}

fn grid(depth: usize) -> Grid {
    Grid::new([48, 48, depth], Affine::identity()).unwrap()
}

/// Peak resident memory of this process in bytes.
fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// Runs in a process that [`measured`] starts; does nothing by itself.
#[test]
#[ignore = "a part of another test"]
#[allow(clippy::print_stdout, reason = "its result")]
fn child() {
    let Ok(text) = std::env::var("UNET_VOL_TEST_CHILD") else { return };
    let (classes, depth) = text.split_once(' ').unwrap();
    let (classes, depth): (usize, usize) = (classes.parse().unwrap(), depth.parse().unwrap());
    let grid = grid(depth);
    let values = (0..grid.voxels()).map(|n| (n / 7 % classes) as f32).collect();
    let outcome = pipeline(classes).segment(&[Volume::new(grid, values).unwrap()]).unwrap();
    let right = outcome.labels.ids.data().iter().enumerate().all(|(n, id)| usize::from(*id) == n / 7 % classes * 10);
    println!("{}", json!({ "rss": peak_rss(), "planned": outcome.plan.peak_bytes, "right": right }));
}

/// Peak memory in bytes of a run with that many classes on a volume of that many planes: planned, and used.
fn measured(classes: usize, depth: usize) -> [u64; 2] {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "memory::child", "--ignored", "--nocapture", "--test-threads", "1"]);
    command.env("UNET_VOL_TEST_CHILD", format!("{classes} {depth}")).env("RAYON_NUM_THREADS", "2");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.find('{').map(|at| &line[at..]));
    let report: Value = serde_json::from_str(line.unwrap_or_else(|| panic!("{text}"))).unwrap();
    assert_eq!(report["right"], true);
    [&report["planned"], &report["rss"]].map(|value| value.as_u64().unwrap())
}

#[test]
fn memory_follows_classes_and_slab_but_not_classes_and_volume() {
    // A longer volume costs as much more with 117 classes as with 4.
    let planned = |classes: usize, depth: usize| {
        let stages = pipeline(classes).plan(&grid(depth)).unwrap().stages;
        stages.iter().find(|stage| stage.name == "network").unwrap().bytes
    };
    let growth = planned(4, 4000) - planned(4, 1000);
    for classes in [33, 117] {
        assert_eq!(planned(classes, 4000) - planned(classes, 1000), growth);
    }
    if peak_rss().is_none() {
        return;
    }
    const MIB: u64 = 1 << 20;
    for (classes, depth) in [(4, 128), (33, 128), (117, 128)] {
        let [planned, used] = measured(classes, depth);
        let [_, twice] = measured(classes, 2 * depth);
        let volume = (48 * 48 * depth) as u64 * 4;
        eprintln!(
            "{classes} classes: {} MiB planned, {} used, {} for twice the volume",
            planned / MIB,
            used / MIB,
            twice / MIB
        );
        assert!(used <= planned, "{classes} classes: {used} bytes were used and {planned} planned");
        // Twice the volume takes one more of study, fed volume and labels, whatever the classes.
        assert!(twice <= used + 4 * volume + 8 * MIB, "{classes} classes: {used} bytes, {twice} for twice the volume");
    }
}

#[test]
fn the_plan_of_the_brain_model_bounds_what_it_uses_and_not_by_far() {
    let Some(study) = shared("data/brain/t1_crop.nii.gz") else { return };
    if peak_rss().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [labels, record] = ["labels.nii.gz", "manifest.json"].map(|name| dir.path().join(name));
    for threads in ["1", "4"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unet-vol"));
        command.arg("segment").arg(&study).args(["-q", "--engine", "embedded", "--overwrite", "--threads", threads]);
        command.arg("-o").arg(&labels).arg("--manifest").arg(&record).env("HOME", dir.path());
        assert!(command.output().unwrap().status.success());
        let manifest = json(record.clone());
        let [planned, used] =
            [&manifest["plan"]["peak_bytes"], &manifest["peak_rss_bytes"]].map(|v| v.as_u64().unwrap());
        eprintln!("brain on {threads} threads: {} MiB planned, {} used", planned >> 20, used >> 20);
        assert!(used <= planned && planned <= 2 * used, "{used} bytes were used and {planned} planned");
    }
}
