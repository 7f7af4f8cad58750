//! `unet-vol info`

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use unet_vol::Result;
use unet_vol::formats::{self, Form, Format, Probe, ReadOptions};

use super::exit::Exit;
use super::output::{self, Verbosity};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The file, a folder of pictures, or a folder of DICOM files: one row per series.
    path: PathBuf,

    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments, verbosity: Verbosity) -> Result<Exit> {
    #[cfg(feature = "dicom")]
    if arguments.path.is_dir()
        && let Some(exit) = super::triage::run(&arguments.path, arguments.json, verbosity)?
    {
        return Ok(exit);
    }
    let probe = formats::probe(&arguments.path, &ReadOptions::new())?;
    if arguments.json {
        output::json(&record(&probe))?;
        return Ok(Exit::Done);
    }
    output::data(output::table(&rows(&probe)));
    output::warnings(verbosity, &probe.warnings);
    Ok(Exit::Done)
}

fn format(probe: &Probe) -> &'static str {
    match probe.format {
        Format::Nifti1 => "NIfTI-1",
        Format::Nifti2 => "NIfTI-2",
        Format::Dicom => "DICOM",
        Format::Png => "PNG",
        Format::Jpeg => "JPEG",
        Format::Tiff => "TIFF",
    }
}

fn form(probe: &Probe) -> &'static str {
    match probe.form {
        Form::Sform => "sform",
        Form::Qform => "qform",
        Form::Planes => "planes",
        Form::None => "none",
    }
}

fn record(probe: &Probe) -> Value {
    let grid = &probe.grid;
    json!({
        "path": probe.path,
        "voxel_file": probe.voxel_file,
        "format": format(probe),
        "gzip": probe.gzip,
        "big_endian": probe.big_endian,
        "shape": probe.shape,
        "spacing_mm": grid.spacing(),
        "orientation": grid.orientation().to_string(),
        "affine": grid.affine().rows(),
        "shear_degrees": grid.affine().shear_degrees(),
        "oriented_by": form(probe),
        "sform_code": probe.sform_code,
        "qform_code": probe.qform_code,
        "data_type": probe.data_type.name(),
        "scaling": probe.scaling,
        "units": probe.units,
        "intent": probe.intent,
        "intent_name": probe.intent_name,
        "description": probe.description,
        "extensions": probe.extensions,
        "warnings": probe.warnings,
    })
}

fn rows(probe: &Probe) -> Vec<Vec<String>> {
    let grid = &probe.grid;
    let row = |key: &str, value: String| vec![key.to_owned(), output::escaped(&value)];
    let join = |values: &[String], by: &str| values.join(by);
    let shape: Vec<_> = probe.shape.iter().map(u64::to_string).collect();
    let spacing: Vec<_> = grid.spacing().iter().map(|s| format!("{s:.4}")).collect();
    let mut storage = format(probe).to_owned();
    if probe.gzip {
        storage.push_str(", gzip");
    }
    if probe.big_endian {
        storage.push_str(", big-endian");
    }
    let mut kind = probe.data_type.name().to_owned();
    if let Some((slope, intercept)) = probe.scaling {
        kind.push_str(&format!(" x {slope} + {intercept}"));
    }
    let mut rows = vec![
        row("format", storage),
        row("voxels", join(&shape, " x ")),
        row("spacing", format!("{} {}", join(&spacing, " x "), probe.units.0)),
        row("orientation", format!("{} (from the {})", grid.orientation(), form(probe))),
        row("codes", format!("sform {}, qform {}", probe.sform_code, probe.qform_code)),
        row("type", kind),
    ];
    for (r, name) in grid.affine().rows().iter().zip(["affine", "", ""]) {
        rows.push(row(name, r.iter().map(|v| format!("{v:>11.4}")).collect::<Vec<_>>().join(" ")));
    }
    let shear = grid.affine().shear_degrees();
    if shear > 0.05 {
        rows.push(row("shear", format!("{shear:.2} degrees")));
    }
    for (key, value) in [("intent", &probe.intent), ("name", &probe.intent_name), ("description", &probe.description)] {
        if !value.trim().is_empty() {
            rows.push(row(key, value.clone()));
        }
    }
    for (code, bytes) in &probe.extensions {
        rows.push(row("extension", format!("code {code}, {bytes} bytes")));
    }
    rows
}
