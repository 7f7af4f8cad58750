//! `unet-vol evaluate`

use std::path::{Path, PathBuf};

use clap::Args;
use unet_vol::Result;
use unet_vol::batch::{self, CaseReport};
use unet_vol::evaluate::{EvaluateOptions, Hd95, Scores, SurfaceElement};

use super::exit::Exit;
use super::output::{self, Verbosity};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A label volume (NIfTI or a DICOM structure set), or a folder of label volumes.
    prediction: PathBuf,

    /// The reference, or a folder with files of the same names.
    reference: PathBuf,

    /// The images that a DICOM structure set was drawn on [default: those in its folder].
    #[arg(long, value_name = "PATH")]
    images: Option<PathBuf>,

    /// Only these label ids.
    #[arg(long, value_name = "ID,...", value_delimiter = ',')]
    labels: Vec<u16>,

    /// Which 95th percentile of surface distances.
    #[arg(long, value_enum, default_value_t = Percentile::MaxDirected)]
    hd95: Percentile,

    /// Which surface the surface Dice is measured on.
    #[arg(long, value_enum, default_value_t = Surface::Voxel)]
    surface: Surface,

    /// Tolerance of the surface Dice in mm.
    #[arg(long, value_name = "MM", default_value_t = 1.0)]
    tolerance: f64,

    /// As JSON; otherwise a table, or for folders CSV with a row per case and label, and the means.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Percentile {
    MaxDirected,
    Pooled,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Surface {
    Voxel,
    SubVoxel,
}

const HEAD: [&str; 11] = [
    "case",
    "id",
    "name",
    "dice",
    "hd95_mm",
    "hd_mm",
    "msd_mm",
    "surface_dice",
    "difference_ml",
    "difference_percent",
    "reason",
];

pub(crate) fn run(arguments: &Arguments, verbosity: Verbosity) -> Result<Exit> {
    let mut options = EvaluateOptions::default()
        .with_hd95(match arguments.hd95 {
            Percentile::MaxDirected => Hd95::MaxDirected,
            Percentile::Pooled => Hd95::Pooled,
        })
        .with_surface(
            match arguments.surface {
                Surface::Voxel => SurfaceElement::Voxel,
                Surface::SubVoxel => SurfaceElement::SubVoxel,
            },
            arguments.tolerance,
        );
    if !arguments.labels.is_empty() {
        options = options.with_labels(arguments.labels.clone());
    }
    if arguments.prediction.is_dir() && arguments.reference.is_dir() {
        let (cases, warnings) = batch::evaluate_folders(&arguments.prediction, &arguments.reference, &options)?;
        output::warnings(verbosity, &warnings);
        if arguments.json {
            output::json(&cases)?;
            return Ok(Exit::Done);
        }
        output::data(HEAD.join(","));
        for row in cases.iter().flat_map(rows).chain(batch::means(&cases).map(|mean| scores("mean", "", "", &mean, "")))
        {
            output::data(row.iter().map(|cell| unet_vol::report::quoted(cell)).collect::<Vec<_>>().join(","));
        }
        return Ok(Exit::Done);
    }
    let images = arguments.images.as_deref();
    let (report, warnings) = batch::evaluate_files(&arguments.prediction, &arguments.reference, &options, images)?;
    output::warnings(verbosity, &warnings);
    if arguments.json {
        output::json(&report)?;
        return Ok(Exit::Done);
    }
    let case = CaseReport { case: String::new(), report };
    let mut table = vec![HEAD[1..].iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()];
    table.extend(rows(&case).into_iter().map(|row| row[1..].to_vec()));
    output::data(output::table(&table));
    Ok(Exit::Done)
}

/// A row per label and one for their mean.
fn rows(case: &CaseReport) -> Vec<Vec<String>> {
    let labels = case.report.labels.iter().map(|label| {
        let name = output::escaped(&label.name);
        scores(&case.case, &label.id.to_string(), &name, &label.scores, label.reason.unwrap_or_default())
    });
    labels.chain([scores(&case.case, "mean", "", &case.report.mean, "")]).collect()
}

fn scores(case: &str, id: &str, name: &str, scores: &Scores, reason: &str) -> Vec<String> {
    let value = |value: Option<f64>, digits: usize| value.map_or_else(String::new, |v| format!("{v:.digits$}"));
    vec![
        output::escaped(&Path::new(case).display().to_string()),
        id.to_owned(),
        name.to_owned(),
        value(scores.dice, 4),
        value(scores.hd95_mm, 3),
        value(scores.hd_mm, 3),
        value(scores.mean_surface_distance_mm, 3),
        value(scores.surface_dice, 4),
        value(scores.volume_difference_ml, 3),
        value(scores.volume_difference_percent, 2),
        reason.to_owned(),
    ]
}
