//! Which row of a triage is meant, and reading it.

use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;

use super::assemble::Voxels;
use super::instance::{self, Content};
use super::part10;
use super::plane::Layout;
use super::scan::{self, Triage};
use super::stack::Stack;
use super::summary::SeriesSummary;
use crate::error::{Error, Result, Warning};
use crate::formats::{OnGap, Probe, ReadOptions, Sample, Study};
use crate::fs;
use crate::limits::Limits;
use crate::volume::{Source, SourceKind, Volume};

const COMPLETE_OR_RESAMPLE: &str =
    "look for the missing files, or give --on-gap resample to interpolate between the slices that are here";
/// Rows that an error lists at most.
const LISTED: usize = 12;

/// True when these first bytes of a file are those of a DICOM file.
pub(in crate::formats) fn is_dicom(head: &[u8]) -> bool {
    part10::is_dicom(head)
}

/// Scans a folder, or one file that holds a volume.
///
/// # Errors
/// As [`scan::scan`]; [`crate::ErrorKind::Usage`] for a file that is one slice of a series.
pub(in crate::formats) fn open(path: &Path, limits: &Limits) -> Result<Triage> {
    let triage = scan::scan(path, limits)?;
    if let [instance] = triage.instances.as_slice()
        && !fs::is_dir(path)
        && let Content::Planes(planes, layout) = &instance.content
        && planes.len() == 1
        && *layout != Layout::Projection
    {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let others = fs::list(folder)?.par_iter().filter(|other| is_sibling(other, instance, limits)).count();
        if others > 0 {
            let message = format!("this is one of {} slices of a series in {}", others + 1, folder.display());
            let series = instance.series.escape_debug();
            let hint = format!("give the folder, with --series {series} if it holds several");
            return Err(Error::usage(message).at(path).hint(hint));
        }
    }
    Ok(triage)
}

/// True for a file of the same series that is another object.
fn is_sibling(path: &Path, of: &instance::Instance, limits: &Limits) -> bool {
    let is_one = |other: instance::Instance| {
        !of.series.is_empty()
            && other.series == of.series
            && other.study == of.study
            && other.sop_instance != of.sop_instance
            && matches!(other.content, Content::Planes(..))
    };
    fs::is_file(path) && instance::open(path, limits).ok().flatten().is_some_and(is_one)
}

impl Triage {
    /// The row that `series` names: a Series Instance UID, a description (upper and lower case alike) or a row number.
    /// Without it, the only row that holds images.
    ///
    /// A row that is refused for uneven steps alone is accepted under [`OnGap::Resample`].
    ///
    /// Surveys, screenshots and projections step back when exactly one other row is there; a row that is refused does
    /// not, so a damaged series never gives way to a lesser one.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] when no row or several are meant; [`crate::ErrorKind::Unsupported`] when the row
    /// cannot be read as a volume, with the reason.
    pub fn choose(&self, options: &ReadOptions) -> Result<&SeriesSummary> {
        let rows: Vec<&SeriesSummary> = match &options.series {
            Some(series) => self.named(series.trim())?,
            None => {
                let images: Vec<_> = self.series.iter().filter(|row| row.kind.is_image()).collect();
                let primary: Vec<_> = images.iter().copied().filter(|row| row.kind.is_primary()).collect();
                if primary.is_empty() { images } else { primary }
            }
        };
        match rows.as_slice() {
            [] => Err(self.nothing()),
            [row] => self.check(row, options).map(|()| *row),
            rows => {
                let message = format!("{} volumes are here, one is wanted{}", rows.len(), listing(rows));
                Err(Error::usage(message)
                    .at(&self.path)
                    .hint("choose one with --series and its number, UID or description; convert takes an output folder for all"))
            }
        }
    }

    /// Refuses a row that cannot be read as a volume, with the reason.
    pub(in crate::formats) fn check(&self, row: &SeriesSummary, options: &ReadOptions) -> Result<()> {
        match &row.refusal {
            None => Ok(()),
            Some(_) if row.can_be_resampled && options.on_gap == OnGap::Resample => Ok(()),
            Some(reason) => {
                let error = Error::unsupported(format!("{} is no volume: {reason}", name(row))).at(&self.path);
                Err(if row.can_be_resampled { error.hint(COMPLETE_OR_RESAMPLE) } else { error })
            }
        }
    }

    pub(super) fn named(&self, series: &str) -> Result<Vec<&SeriesSummary>> {
        let with = |matches: &dyn Fn(&SeriesSummary) -> bool| -> Vec<&SeriesSummary> {
            self.series.iter().filter(|row| matches(row)).collect()
        };
        let number = series.parse::<usize>().ok();
        let found = [
            with(&|row| row.series_uid == series),
            with(&|row| row.description.eq_ignore_ascii_case(series)),
            with(&|row| Some(row.number) == number),
        ];
        found.into_iter().find(|rows| !rows.is_empty()).ok_or_else(|| {
            let all: Vec<_> = self.series.iter().collect();
            Error::usage(format!("no series is {series:?}{}", listing(&all))).at(&self.path)
        })
    }

    /// The error for a folder without images.
    fn nothing(&self) -> Error {
        let error = match self.unreadable.first() {
            Some(first) => Error::malformed(format!("no DICOM image could be read here; {}", first.reason)),
            None => Error::unsupported(format!("none of the {} files here is a DICOM image", self.files))
                .hint("name a file of another format itself, not its folder"),
        };
        error.at(&self.path)
    }

    /// What the headers of this row say.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unsupported`] when the row cannot be read as a volume.
    pub fn probe_row(&self, row: &SeriesSummary) -> Result<Probe> {
        self.stack(row)?.probe(&self.instances, self.path.clone(), None)
    }

    /// The files of a readable row, in the order of its slices.
    ///
    /// # Errors
    /// As [`Triage::probe_row`].
    pub fn files(&self, row: &SeriesSummary) -> Result<Vec<&Path>> {
        let planes = self.stack(row)?.slices.iter().flatten();
        let mut paths: Vec<_> = planes.filter_map(|id| Some(self.instances.get(id.file)?.path.as_path())).collect();
        paths.dedup();
        Ok(paths)
    }

    /// Reads the volume of a row as `f32` or `f64`; slope and intercept of each slice are applied in `f64`.
    ///
    /// # Errors
    /// As [`Triage::choose`]; [`crate::ErrorKind::Unsupported`] for several volumes of which none was chosen;
    /// [`crate::ErrorKind::Malformed`] when samples are missing or damaged; [`crate::ErrorKind::Limit`] when they are
    /// more than the limits allow.
    pub fn read_as<T: Sample>(&self, options: &ReadOptions) -> Result<Study<T>> {
        self.read_row_as(self.choose(options)?, options)
    }

    /// Reads the volume of this row; [`ReadOptions::series`] is not looked at.
    ///
    /// # Errors
    /// As [`Triage::read_as`].
    pub fn read_row_as<T: Sample>(&self, row: &SeriesSummary, options: &ReadOptions) -> Result<Study<T>> {
        let volumes = self.stack(row)?.volumes();
        let time = chosen_volume(volumes, options.volume).map_err(|e| e.at(&self.path))?;
        let mut studies = self.studies(row, time..time + 1, options)?;
        studies.pop().ok_or_else(|| Error::internal("a stack has no volume"))
    }

    /// Reads all volumes of a row in one pass over its files, in the order of time.
    ///
    /// # Errors
    /// As [`Triage::read_as`], but for the choice of a volume.
    pub fn read_all_as<T: Sample>(&self, options: &ReadOptions) -> Result<Vec<Study<T>>> {
        self.read_all_of_row_as(self.choose(options)?, options)
    }

    /// Reads all volumes of this row; [`ReadOptions::series`] and [`ReadOptions::volume`] are not looked at.
    ///
    /// # Errors
    /// As [`Triage::read_all_as`].
    pub fn read_all_of_row_as<T: Sample>(&self, row: &SeriesSummary, options: &ReadOptions) -> Result<Vec<Study<T>>> {
        self.studies(row, 0..self.stack(row)?.volumes(), options)
    }

    fn studies<T: Sample>(
        &self,
        row: &SeriesSummary,
        times: Range<usize>,
        options: &ReadOptions,
    ) -> Result<Vec<Study<T>>> {
        self.check(row, options)?;
        let stack = self.stack(row)?;
        let probe = stack.probe(&self.instances, self.path.clone(), options.assume_orientation)?;
        let mut warnings = probe.warnings.clone();
        if row.modality == "RTDOSE" {
            let message = "the values are stored numbers: DoseGridScaling is not applied";
            warnings.push(Warning::new("dose-scaling", message));
        }
        let assumed = options.assume_orientation.filter(|&assumed| assumed != probe.grid.orientation());
        if let Some(assumed) = assumed.filter(|_| stack.is_oriented) {
            let message = format!("the files say {}; {assumed} is not assumed", probe.grid.orientation());
            warnings.push(Warning::new("orientation-kept", message));
        }
        let volumes = stack.voxels(&self.instances, times.clone(), options).map_err(|e| e.at(&self.path))?;
        let study = |(time, voxels): (usize, Voxels<T>)| {
            let kind = SourceKind::Dicom(Box::new(stack.source(&self.instances, time, &options.limits)?));
            let mut source = Source::new(Some(self.path.clone()), probe.grid, kind);
            source.oriented = stack.is_oriented;
            let slices = voxels.slices.zip(source.places());
            let slices = slices.map(|(data, places)| Volume::new(probe.grid.of_slices(places)?, data));
            Ok(Study {
                volume: Volume::new(probe.grid, voxels.grid)?,
                slices: slices.transpose()?,
                source,
                probe: probe.clone(),
                warnings: warnings.clone(),
            })
        };
        times.zip(volumes).map(study).collect()
    }

    fn stack(&self, row: &SeriesSummary) -> Result<&Stack> {
        let stack = row.number.checked_sub(1).and_then(|at| self.stacks.get(at)).and_then(Option::as_ref);
        stack.ok_or_else(|| {
            let reason = row.refusal.as_deref().unwrap_or("it is of another scan");
            Error::unsupported(format!("{} is no volume: {reason}", name(row))).at(&self.path)
        })
    }
}

fn chosen_volume(volumes: usize, chosen: Option<usize>) -> Result<usize> {
    match chosen {
        None if volumes == 1 => Ok(0),
        Some(volume) if volume < volumes => Ok(volume),
        None => Err(Error::unsupported(format!("the series holds {volumes} volumes, one is wanted"))
            .hint(format!("choose one with --volume 0 to {}", volumes - 1))),
        Some(volume) => Err(Error::usage(format!("there is no volume {volume}: the series holds {volumes}, from 0"))),
    }
}

fn name(row: &SeriesSummary) -> String {
    let description = if row.description.is_empty() { &row.series_uid } else { &row.description };
    format!("series {} ({description:?})", row.number)
}

/// The rows, one a line.
fn listing(rows: &[&SeriesSummary]) -> String {
    let line = |row: &&SeriesSummary| {
        let shape = row.shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
        let state = row.refusal.as_ref().map_or_else(String::new, |reason| format!(", refused: {reason}"));
        format!("\n  {}: {:?} {:?} {shape}{state}", row.number, row.modality, row.description)
    };
    let mut text: String = rows.iter().take(LISTED).map(line).collect();
    if rows.len() > LISTED {
        text.push_str(&format!("\n  and {} more", rows.len() - LISTED));
    }
    text
}
