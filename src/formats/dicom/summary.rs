//! One row of a triage.

use std::path::PathBuf;

use serde::Serialize;

use super::instance::{Content, Instance, SEGMENTATION};
use super::plane::Layout;
use super::radiograph;
use super::series::Group;
use super::stack::{Refusal, Stack};
use crate::error::Warning;
use crate::geometry::{Grid, Orientation};

/// What kind of thing a series is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SeriesKind {
    /// Slices in a file each.
    Volume,
    /// Slices as frames of one file, with functional groups.
    Multiframe,
    /// Slices as tiles of one image.
    Mosaic,
    /// A survey by which others are planned.
    Localizer,
    /// An image that was derived for viewing, a screenshot for example.
    SecondaryCapture,
    /// A projection: CR, DX and the like.
    Radiograph,
    /// A distribution of radiation dose.
    Dose,
    /// Segments.
    Segmentation,
    /// Contours (RTSTRUCT).
    Structures,
    /// An image of another kind.
    Image,
    /// No image: a report, a plan, a presentation state.
    Document,
}

impl SeriesKind {
    fn of(instance: &Instance) -> Self {
        let class = instance.sop_class.as_str();
        let words = format!("{} {}", instance.image_type, instance.description).to_ascii_lowercase();
        let is_survey = ["localizer", "localiser", "scout", "survey"].iter().any(|word| words.contains(word));
        if SEGMENTATION.contains(&class) || instance.modality == "SEG" {
            return Self::Segmentation;
        }
        match (instance.modality.as_str(), &instance.content) {
            ("RTSTRUCT", _) => Self::Structures,
            (_, Content::NoImage | Content::Directory(_)) => Self::Document,
            ("RTPLAN" | "RTRECORD" | "SR" | "PR" | "KO" | "REG" | "RWV" | "DOC" | "PLAN", _) => Self::Document,
            _ if class.starts_with("1.2.840.10008.5.1.4.1.1.7") => Self::SecondaryCapture,
            ("RTDOSE", _) => Self::Dose,
            ("RTIMAGE", _) | (_, Content::Planes(_, Layout::Projection)) => Self::Radiograph,
            (modality, _) if radiograph::MODALITIES.contains(&modality) => Self::Radiograph,
            (_, Content::Planes(..)) if is_survey => Self::Localizer,
            (_, Content::Planes(_, Layout::Mosaic(_))) => Self::Mosaic,
            (_, Content::Planes(_, Layout::Multiframe)) => Self::Multiframe,
            (_, Content::Planes(_, Layout::Single)) => Self::Volume,
            (_, Content::Refused(_)) => Self::Image,
        }
    }

    /// True for whatever has samples of its own.
    pub(super) fn is_image(self) -> bool {
        !matches!(self, Self::Segmentation | Self::Structures | Self::Document)
    }

    /// True for what is usually wanted when a folder is read: not a survey, a screenshot or a projection.
    pub(super) fn is_primary(self) -> bool {
        matches!(self, Self::Volume | Self::Multiframe | Self::Mosaic | Self::Image)
    }
}

/// One row of a triage: the planes of a series that have an orientation, size and kind in common, or files of a series
/// that hold no volume.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SeriesSummary {
    /// Number of the row, from 1; it chooses the row where a series is asked for.
    pub number: usize,
    /// Study Instance UID.
    pub study_uid: String,
    /// Series Instance UID. Several rows share it where one series holds several volumes.
    pub series_uid: String,
    /// Number of the series as the scanner gave it.
    pub series_number: Option<i64>,
    /// Series Description.
    pub description: String,
    /// Modality, such as `MR`.
    pub modality: String,
    /// What kind of thing it is.
    pub kind: SeriesKind,
    /// Name of the transfer syntax of the first file.
    pub transfer_syntax: String,
    /// The innermost folder that holds all files of the row.
    pub folder: PathBuf,
    /// Files that belong to the row.
    pub files: usize,
    /// Voxels along i (columns), j (rows) and k (slices); without k where the slices make no volume.
    pub shape: Vec<usize>,
    /// Volumes at the same place: time points, directions of diffusion; 0 where there is none, not even on request.
    pub volumes: usize,
    /// mm along i, j and k.
    pub spacing: Option<[f64; 3]>,
    /// Nearest axis codes of i, j and k, such as `LPS`.
    pub orientation: Option<String>,
    /// True when the axes are those of the patient to within 0.1 degree.
    pub is_straight: bool,
    /// Angle in degrees by which the slices are tilted against the way they are stacked.
    pub tilt_degrees: f64,
    /// Planes that were dropped because they occur twice.
    pub duplicates: usize,
    /// Why the row cannot be read as a volume; `None` when it can.
    pub refusal: Option<String>,
    /// True when the row is refused for uneven steps alone, so that it can be resampled on request.
    pub can_be_resampled: bool,
    /// What is odd.
    pub warnings: Vec<Warning>,
}

/// The row for a group; `stack` is what became of its planes.
pub(super) fn summarize(
    number: usize,
    instances: &[Instance],
    group: &Group,
    stack: Result<&Stack, &Refusal>,
) -> Option<SeriesSummary> {
    let mut files: Vec<usize> = match group {
        Group::Stack(planes) => planes.iter().map(|id| id.file).collect(),
        Group::Other(files) => files.clone(),
    };
    let first = instances.get(*files.first()?)?;
    files.sort_unstable();
    files.dedup();
    let mut row = SeriesSummary {
        number,
        study_uid: first.study.clone(),
        series_uid: first.series.clone(),
        series_number: first.series_number,
        description: first.description.clone(),
        modality: first.modality.clone(),
        kind: SeriesKind::of(first),
        transfer_syntax: first.syntax.name().to_owned(),
        folder: common_folder(instances, &files),
        files: files.len(),
        shape: first.format.map_or_else(Vec::new, |format| vec![format.columns as usize, format.rows as usize]),
        volumes: 0,
        spacing: None,
        orientation: None,
        is_straight: false,
        tilt_degrees: 0.0,
        duplicates: 0,
        refusal: None,
        can_be_resampled: false,
        warnings: Vec::new(),
    };
    match stack {
        Ok(stack) => {
            let grid = stack.grid(instances)?;
            row.shape = grid.shape().to_vec();
            row.volumes = stack.volumes();
            row.spacing = Some(grid.spacing());
            row.orientation = stack.is_oriented.then(|| grid.orientation().to_string());
            row.is_straight = is_straight(&grid);
            row.tilt_degrees = stack.tilt;
            row.duplicates = stack.duplicates;
            row.warnings.clone_from(&stack.warnings);
        }
        Err(refusal) => {
            row.refusal = Some(refusal.reason.clone());
            row.can_be_resampled = refusal.resampled.is_some();
            row.volumes = refusal.resampled.as_ref().map_or(0, |stack| stack.volumes());
        }
    }
    Some(row)
}

fn common_folder(instances: &[Instance], files: &[usize]) -> PathBuf {
    let mut folders = files.iter().filter_map(|&file| instances.get(file)?.path.parent());
    let mut common = folders.next().map(PathBuf::from).unwrap_or_default();
    for folder in folders {
        while !folder.starts_with(&common) && common.pop() {}
    }
    common
}

fn is_straight(grid: &Grid) -> bool {
    let cosine = 0.1_f64.to_radians().cos();
    let axes = Orientation::of(grid.affine()).directions().map(|direction| direction.world_axis());
    let direction = grid.affine().direction();
    (0..3).all(|axis| direction[axis][axes[axis]].abs() >= cosine)
}
