//! Segmentations (SEG) as label volumes (PS3.3, A.51, C.8.20).
//!
//! | kind | read as |
//! |---|---|
//! | BINARY | the number of the segment; of segments that this program wrote the id of the label; overlaps are refused |
//! | FRACTIONAL | the same, where at least half of the greatest fraction is reached, with a warning |
//! | LABELMAP | the values, the padding value as background |
//!
//! Slices without a frame are background; the grid reaches from the first slice that has a frame to the last.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::color;
use super::data_set::DataSet;
use super::lattice::{Lattice, lattice};
use super::multiframe;
use super::part10::DicomFile;
use super::segment_frames::{SegmentFormat, SegmentFrames};
use super::tags;
use crate::error::{Error, Result, Warning};
use crate::formats::{DataType, Form, Format, LabelStudy, Probe};
use crate::geometry::Grid;
use crate::limits::{self, Limits};
use crate::volume::{Label, LabelMap, LabelTable, Source, SourceKind, TermCode, Volume, default_rgb};

/// What the header of a segmentation says.
#[derive(Debug)]
pub(super) struct Segmentation {
    path: PathBuf,
    format: SegmentFormat,
    kind: Kind,
    grid: Grid,
    /// For each frame its slice and the id of its segment.
    frames: Vec<(usize, u16)>,
    table: LabelTable,
    description: String,
    big_endian: bool,
    warnings: Vec<Warning>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Samples from this one on belong to the segment.
    Segments(u16),
    /// Samples are ids, this one is background.
    Labels(Option<u16>),
}

impl Segmentation {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unsupported`] when it is no label volume, with the reason; what the reader refuses.
    pub(super) fn open(path: &Path, limits: &Limits) -> Result<Self> {
        let file = DicomFile::open(path, limits)?.ok_or_else(|| Error::malformed("this is no DICOM file").at(path))?;
        Self::of(&file).map_err(|message| Error::unsupported(message).at(path))
    }

    /// An error says why it is no label volume.
    fn of(file: &DicomFile) -> std::result::Result<Self, String> {
        let parsed = file.parse();
        if let Some(fault) = &parsed.fault {
            return Err(fault.message(file.total()));
        }
        let data_set = &parsed.data_set;
        let format = SegmentFormat::of(data_set)?;
        let mut warnings = Vec::new();
        let kind = match data_set.string(tags::SEGMENTATION_TYPE).as_str() {
            "LABELMAP" => Kind::Labels(data_set.unsigned(tags::PIXEL_PADDING_VALUE).and_then(|v| v.try_into().ok())),
            "FRACTIONAL" => {
                let most = data_set.unsigned(tags::MAXIMUM_FRACTION).unwrap_or(255).clamp(1, 255);
                let message = format!("fractions of at least half of {most} are taken as the segment");
                warnings.push(Warning::new("thresholded-segments", message));
                Kind::Segments(u16::try_from(most.div_ceil(2)).unwrap_or(128))
            }
            "BINARY" => Kind::Segments(1),
            other => return Err(format!("it is a segmentation of the kind {other:?}, which is not read")),
        };
        let (table, ids) = segments(data_set, matches!(kind, Kind::Labels(_)))?;
        let planes = multiframe::planes(data_set, format.pixels)?;
        let Lattice { affine, depth, slices } = lattice(&planes)?;
        let frames: Vec<(usize, u16)> = match kind {
            Kind::Labels(_) => slices.into_iter().map(|k| (k, 0)).collect(),
            Kind::Segments(_) => {
                let numbers = referenced_segments(data_set)?;
                let id = |number: &u16| {
                    ids.get(number)
                        .copied()
                        .ok_or_else(|| format!("a frame is of segment {number}, which is not described"))
                };
                slices
                    .into_iter()
                    .zip(&numbers)
                    .map(|(k, number)| Ok((k, id(number)?)))
                    .collect::<Result<_, String>>()?
            }
        };
        let mut places = frames.clone();
        places.sort_unstable();
        if let Some(pair) = places.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("two frames show the same segment in slice {}", pair[0].0 + 1));
        }
        let shape = [format.pixels.columns as usize, format.pixels.rows as usize, depth];
        Ok(Self {
            path: file.path.clone(),
            format,
            kind,
            grid: Grid::new(shape, affine).map_err(|e| e.message().to_owned())?,
            frames,
            table,
            description: data_set.string(tags::SERIES_DESCRIPTION),
            big_endian: file.syntax.encoding.big_endian,
            warnings,
        })
    }

    /// What the header says.
    pub(super) fn probe(&self) -> Probe {
        let ids = self.table.labels().iter().map(|label| label.id);
        let is_wide = ids.max().is_some_and(|id| id > u16::from(u8::MAX));
        Probe {
            path: self.path.clone(),
            voxel_file: None,
            format: Format::Dicom,
            gzip: false,
            big_endian: self.big_endian,
            shape: self.grid.shape().iter().map(|&n| n as u64).collect(),
            grid: self.grid,
            form: Form::Planes,
            sform_code: 0,
            qform_code: 0,
            data_type: if is_wide { DataType::UInt16 } else { DataType::UInt8 },
            scaling: None,
            units: ("mm", "unknown"),
            intent: "Label".to_owned(),
            intent_name: String::new(),
            description: self.description.clone(),
            extensions: Vec::new(),
            warnings: self.warnings.clone(),
        }
    }

    /// Reads the label ids.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] when samples are missing or damaged; [`crate::ErrorKind::Unsupported`] when
    /// segments overlap; [`crate::ErrorKind::Limit`] when there are more than the limits allow.
    pub(super) fn labels(&self, limits: &Limits) -> Result<LabelStudy> {
        let ids = self.ids(limits).map_err(|e| e.at(&self.path))?;
        Ok(LabelStudy {
            labels: LabelMap::new(Volume::new(self.grid, ids)?, self.table.clone()),
            source: Source::new(Some(self.path.clone()), self.grid, SourceKind::Memory),
            probe: self.probe(),
            warnings: self.warnings.clone(),
        })
    }

    fn ids(&self, limits: &Limits) -> Result<Vec<u16>> {
        let [columns, rows, depth] = self.grid.shape();
        let voxels = limits.voxels(&[columns as u64, rows as u64, depth as u64])?;
        limits.bytes(voxels.saturating_mul(2), "the label volume")?;
        let file = DicomFile::open_whole(&self.path, self.format.bytes(), limits)?;
        let source = SegmentFrames::of(&file, self.format, limits)?;
        let mut of_slice = vec![Vec::new(); depth];
        for (n, &(k, id)) in self.frames.iter().enumerate() {
            of_slice[k].push((n, id));
        }
        let mut out = limits::zeroed(columns * rows * depth, "the label volume")?;
        out.par_chunks_mut(columns * rows).zip(&of_slice).try_for_each(|(plane, frames)| {
            let mut samples = limits::zeroed::<u16>(plane.len(), "a frame")?;
            frames.iter().try_for_each(|&(n, id)| {
                source.read(n, &mut samples)?;
                self.put(&samples, id, plane)
            })
        })?;
        Ok(out)
    }

    /// Adds the samples of one frame to its slice.
    fn put(&self, samples: &[u16], id: u16, plane: &mut [u16]) -> Result<()> {
        match self.kind {
            Kind::Labels(background) => {
                for (out, &value) in plane.iter_mut().zip(samples) {
                    *out = if Some(value) == background { 0 } else { value };
                }
            }
            Kind::Segments(least) => {
                for (out, _) in plane.iter_mut().zip(samples).filter(|(_, sample)| **sample >= least) {
                    if *out != 0 {
                        let (a, b) = (self.table.name(*out), self.table.name(id));
                        let message = format!("the segments {a:?} and {b:?} overlap: they make no label volume");
                        return Err(Error::unsupported(message));
                    }
                    *out = id;
                }
            }
        }
        Ok(())
    }
}

/// The labels that segments stand for, and the id of each segment number.
fn segments(data_set: &DataSet<'_>, are_values: bool) -> std::result::Result<(LabelTable, BTreeMap<u16, u16>), String> {
    let items = data_set.items(tags::SEGMENTS)?;
    let number = |item: &DataSet<'_>| item.unsigned(tags::SEGMENT_NUMBER).and_then(|n| u16::try_from(n).ok());
    // The ids that this program keeps in descriptions hold only if all segments have one.
    let id = |item: &DataSet<'_>| item.text(tags::SEGMENT_DESCRIPTION)?.strip_prefix("label ")?.parse::<u16>().ok();
    let kept: Option<BTreeMap<u16, u16>> = items.iter().map(|item| Some((number(item)?, id(item)?))).collect();
    let numbers = items.iter().filter_map(number).filter(|&n| n != 0);
    let ids = kept.filter(|_| !are_values).unwrap_or_else(|| numbers.map(|n| (n, n)).collect());
    let labels = items.iter().filter_map(|item| {
        let id = *ids.get(&number(item)?)?;
        let rgb = <[u16; 3]>::try_from(item.words(tags::DISPLAY_CIELAB)).map_or_else(|_| default_rgb(id), color::rgb);
        let code = item.item(tags::PROPERTY_TYPE).ok().flatten().and_then(|code| {
            Some(TermCode {
                scheme: code.text(tags::CODE_SCHEME)?.into_owned(),
                value: code.text(tags::CODE_VALUE)?.into_owned(),
                meaning: code.string(tags::CODE_MEANING),
            })
        });
        Some(Label { id, name: item.string(tags::SEGMENT_LABEL), rgb, code })
    });
    let table = LabelTable::new(labels.collect()).map_err(|e| format!("its segments are damaged: {}", e.message()))?;
    Ok((table, ids))
}

/// The segment number of each frame.
fn referenced_segments(data_set: &DataSet<'_>) -> std::result::Result<Vec<u16>, String> {
    let shared = data_set.item(tags::SHARED_GROUPS)?;
    let of = |groups: &DataSet<'_>| -> std::result::Result<Option<u16>, String> {
        let group = groups.item(tags::SEGMENT_IDENTIFICATION)?;
        Ok(group.and_then(|group| group.unsigned(tags::REFERENCED_SEGMENT)).and_then(|n| u16::try_from(n).ok()))
    };
    let common = shared.as_ref().map(of).transpose()?.flatten();
    let frames = data_set.items(tags::PER_FRAME_GROUPS)?;
    let number = |frame: &DataSet<'_>| of(frame)?.or(common).ok_or_else(|| "a frame names no segment".to_owned());
    frames.iter().map(number).collect()
}
