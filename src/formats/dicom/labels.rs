//! Labels from DICOM objects: which object is meant, the images that it belongs to, and reading it.

use std::path::Path;

use super::instance::{Content, Instance};
use super::scan::{self, Triage};
use super::segmentation::Segmentation;
use super::stack::Stack;
use super::structures::StructureSet;
use super::summary::{SeriesKind, SeriesSummary};
use crate::error::{Error, Result, Warning};
use crate::formats::{self, DataType, Format, LabelStudy, OnGap, Probe, ReadOptions};
use crate::geometry::Grid;
use crate::limits::Limits;
use crate::volume::{Source, SourceKind};

/// The images that contours were drawn on.
struct Images {
    probe: Probe,
    source: Source,
    warnings: Vec<Warning>,
}

impl Images {
    fn grid(&self) -> &Grid {
        &self.probe.grid
    }
}

impl Triage {
    /// Reads the labels of a segmentation (SEG), or of a structure set (RTSTRUCT), on the grid of the images that it was drawn on: those of
    /// [`ReadOptions::images`], otherwise the ones in the same folder.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] when no object or several are meant; [`crate::ErrorKind::Unsupported`] when it holds no
    /// labels, its images are not there or do not fit; what the reader refuses.
    pub fn read_labels(&self, options: &ReadOptions) -> Result<LabelStudy> {
        let row = self.label_row(options)?;
        match row.kind {
            SeriesKind::Structures => self.read_structures(self.object(row)?, options),
            SeriesKind::Segmentation => {
                Segmentation::open(&self.object(row)?.path, &options.limits)?.labels(&options.limits)
            }
            _ => {
                Err(Error::unsupported(format!("label maps are not read from {:?} objects", row.modality))
                    .at(&self.path))
            }
        }
    }

    /// What the header of a segmentation says; `None` for an object whose labels have no grid of their own.
    ///
    /// # Errors
    /// What the reader of segmentations refuses.
    pub(crate) fn probe_labels(&self) -> Result<Option<Probe>> {
        match self.series.iter().filter(|row| is_labels(row)).collect::<Vec<_>>().as_slice() {
            [row] if row.kind == SeriesKind::Segmentation => {
                Segmentation::open(&self.object(row)?.path, &Limits::default()).map(|found| Some(found.probe()))
            }
            _ => Ok(None),
        }
    }

    /// True when what is meant is an object that holds labels, and no image.
    pub(crate) fn means_labels(&self, options: &ReadOptions) -> bool {
        let has_images = self.series.iter().any(|row| row.kind.is_image());
        (options.series.is_some() || !has_images) && self.label_row(options).is_ok_and(is_labels)
    }

    fn label_row(&self, options: &ReadOptions) -> Result<&SeriesSummary> {
        let rows: Vec<_> = match &options.series {
            Some(series) => self.named(series.trim())?,
            None => self.series.iter().filter(|row| is_labels(row)).collect(),
        };
        match rows.as_slice() {
            [row] => Ok(row),
            [] => Err(Error::unsupported("there are no labels in these DICOM files").at(&self.path)),
            rows => Err(Error::usage(format!("{} series of labels are here, one is wanted", rows.len()))
                .at(&self.path)
                .hint("name the file, or choose one with --series and its number in `unet-vol info`")),
        }
    }

    /// The only file of a row that holds no image.
    fn object(&self, row: &SeriesSummary) -> Result<&Instance> {
        let is_of_row = |instance: &&Instance| {
            instance.series == row.series_uid
                && instance.modality == row.modality
                && matches!(instance.content, Content::NoImage)
        };
        let found: Vec<_> = self.instances.iter().filter(is_of_row).collect();
        match found.as_slice() {
            [instance] => Ok(instance),
            [] => {
                let reason = row.refusal.as_deref().unwrap_or("it is damaged");
                Err(Error::malformed(format!("series {} is not read: {reason}", row.number)).at(&self.path))
            }
            several => Err(Error::usage(format!("the series holds {} objects, one is wanted", several.len()))
                .at(&self.path)
                .hint("name the file")),
        }
    }

    fn read_structures(&self, object: &Instance, options: &ReadOptions) -> Result<LabelStudy> {
        let set = StructureSet::read(&object.path, &options.limits)?;
        let images = self.images(&set, &object.path, options)?;
        let rasterized = set.rasterize(images.grid(), options.only.as_deref());
        let (labels, mut warnings) = rasterized.map_err(|e| e.at(&object.path))?;
        warnings.splice(0..0, images.warnings);
        let data_type = if labels.max_id() > u16::from(u8::MAX) { DataType::UInt16 } else { DataType::UInt8 };
        let mut probe = images.probe;
        probe.path.clone_from(&object.path);
        probe.format = Format::Dicom;
        probe.shape = labels.grid().shape().map(|n| n as u64).to_vec();
        probe.data_type = data_type;
        probe.scaling = None;
        probe.description = set.label;
        probe.warnings.clone_from(&warnings);
        Ok(LabelStudy { labels, source: images.source, probe, warnings })
    }

    /// The images that a structure set was drawn on.
    fn images(&self, set: &StructureSet, path: &Path, options: &ReadOptions) -> Result<Images> {
        let Some(images) = &options.images else {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let around = if crate::fs::is_dir(&self.path) { None } else { Some(scan::scan(folder, &options.limits)?) };
            let triage = around.as_ref().unwrap_or(self);
            return triage.images_of(set, options).map_err(|e| {
                e.at(path).hint("give the folder of the images that the structures were drawn on with --images")
            });
        };
        if formats::is_dicom(images) {
            return scan::scan(images, &options.limits)?.images_of(set, options).map_err(|e| e.at(images));
        }
        let mut read = options.clone();
        (read.series, read.images) = (None, None);
        let opened = formats::open(images, &read)?;
        let (probe, source) = opened.nifti().ok_or_else(|| Error::internal("a DICOM file was taken for another"))?;
        let message = "a NIfTI file does not say in which frame of reference it is: that the contours belong there is \
                       taken on trust";
        let mut warnings = probe.warnings.clone();
        warnings.push(Warning::new("unknown-frame-of-reference", message));
        Ok(Images { probe, source, warnings })
    }

    /// Among the series here the one that a structure set refers to, or the only one in its frame of reference.
    fn images_of(&self, set: &StructureSet, options: &ReadOptions) -> Result<Images> {
        let rows = self.series.iter().zip(&self.stacks).filter(|(row, _)| row.kind.is_image());
        let (referred, others): (Vec<_>, Vec<_>) = rows.partition(|(row, _)| set.series_uids.contains(&row.series_uid));
        let usable = |(row, stack): (_, _)| usable(row, stack, options);
        let mut warnings = Vec::new();
        let mut found: Vec<(&SeriesSummary, &Stack)> = referred.iter().copied().filter_map(usable).collect();
        if let (true, Some((row, _))) = (found.is_empty(), referred.first()) {
            let reason = row.refusal.as_deref().unwrap_or_default();
            return Err(Error::unsupported(format!("the images of the structures are no volume: {reason}")));
        }
        if found.is_empty() {
            let is_in_frame = |(_, stack): &(&SeriesSummary, &Stack)| {
                let source = stack.source(&self.instances, 0, &options.limits);
                source.is_ok_and(|source| set.frame_of_reference_uids.contains(&source.frame_of_reference_uid))
            };
            found = others.into_iter().filter_map(usable).filter(is_in_frame).collect();
            let message =
                "the structures were drawn on another series than these images, in the same frame of reference";
            warnings.push(Warning::new("images-of-another-series", message));
        }
        match found.as_slice() {
            [] => Err(Error::unsupported(format!(
                "the structures were drawn on images that are not here (series {})",
                if set.series_uids.is_empty() { "unknown".to_owned() } else { set.series_uids.join(", ") }
            ))),
            [(_, stack), more @ ..] => {
                let probe = stack.probe(&self.instances, self.path.clone(), None)?;
                let is_elsewhere = |(_, other): &(&SeriesSummary, &Stack)| {
                    other.grid(&self.instances).is_none_or(|grid| !grid.matches(&probe.grid))
                };
                if more.iter().any(is_elsewhere) {
                    let message = format!("{} volumes here may be what the structures were drawn on", found.len());
                    return Err(Error::unsupported(message).hint("give a folder with the right images alone"));
                }
                let kind = SourceKind::Dicom(Box::new(stack.source(&self.instances, 0, &options.limits)?));
                warnings.extend(probe.warnings.iter().cloned());
                Ok(Images { source: Source::new(Some(self.path.clone()), probe.grid, kind), probe, warnings })
            }
        }
    }
}

fn is_labels(row: &SeriesSummary) -> bool {
    matches!(row.kind, SeriesKind::Structures | SeriesKind::Segmentation)
}

/// A row that can be read as a volume.
fn usable<'a>(
    row: &'a SeriesSummary,
    stack: &'a Option<Stack>,
    options: &ReadOptions,
) -> Option<(&'a SeriesSummary, &'a Stack)> {
    let is_usable = row.refusal.is_none() || (row.can_be_resampled && options.on_gap == OnGap::Resample);
    Some(row).zip(stack.as_ref()).filter(|_| is_usable)
}
