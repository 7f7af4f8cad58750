//! What one file says before its samples.

use std::path::{Path, PathBuf};

use super::data_set::DataSet;
use super::part10::{DicomFile, Syntax};
use super::pixels::PixelFormat;
use super::plane::{self, Layout, Plane};
use super::tags;
use super::transfer_syntax::Codec;
use crate::error::Result;
use crate::limits::Limits;

/// The header of a file, as far as triage and assembly need it.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) path: PathBuf,
    pub(super) syntax: Syntax,
    pub(super) study: String,
    pub(super) series: String,
    /// The patient's name, so that it can be kept out of what is written.
    pub(super) patient: String,
    pub(super) series_number: Option<i64>,
    pub(super) description: String,
    pub(super) modality: String,
    pub(super) image_type: String,
    pub(super) sop_class: String,
    pub(super) sop_instance: String,
    pub(super) format: Option<PixelFormat>,
    pub(super) content: Content,
}

/// What a file holds.
#[derive(Debug)]
pub(super) enum Content {
    /// Planes that have a place in the patient.
    Planes(Vec<Plane>, Layout),
    /// An image that is no volume, and why.
    Refused(String),
    /// Something else: a segmentation, structures, a report, a plan.
    NoImage,
    /// A media directory and the files that it names, relative to its folder.
    Directory(Vec<PathBuf>),
}

impl Instance {
    /// True for segments.
    pub(super) fn is_segmentation(&self) -> bool {
        SEGMENTATION.contains(&self.sop_class.as_str())
    }
}

/// Reads the header of a file; `None` when it is not DICOM.
///
/// # Errors
/// As [`DicomFile::open`].
pub(super) fn open(path: &Path, limits: &Limits) -> Result<Option<Instance>> {
    Ok(DicomFile::open(path, limits)?.map(|file| read(&file)))
}

fn read(file: &DicomFile) -> Instance {
    let parsed = file.parse();
    let data_set = &parsed.data_set;
    let fault = parsed.fault.as_ref().map(|fault| fault.message(file.total()));
    let mut format = None;
    let content = if file.is_directory {
        Content::Directory(referenced(data_set).unwrap_or_default())
    } else if data_set.get(tags::ROWS).is_none() || is_segmentation(data_set) {
        fault.map_or(Content::NoImage, Content::Refused)
    } else {
        let planes = match (parsed.samples, fault) {
            (Some(samples), _) if samples.tag != tags::PIXEL_DATA => {
                Err("its samples are floating-point numbers, which are not read".to_owned())
            }
            (Some(samples), _) => PixelFormat::of(data_set).and_then(|found| {
                format = Some(found);
                complete(file, found, samples.len, samples.start)?;
                plane::planes(data_set, found)
            }),
            (None, Some(message)) => Err(message),
            (None, None) => Err("it has no pixel data".to_owned()),
        };
        planes.map_or_else(Content::Refused, |(planes, layout)| Content::Planes(planes, layout))
    };
    Instance {
        path: file.path.clone(),
        syntax: file.syntax.clone(),
        study: data_set.string(tags::STUDY),
        series: data_set.string(tags::SERIES),
        patient: data_set.string(tags::PATIENT_NAME),
        series_number: data_set.integer(tags::SERIES_NUMBER),
        description: data_set.string(tags::SERIES_DESCRIPTION),
        modality: data_set.string(tags::MODALITY),
        image_type: data_set.string(tags::IMAGE_TYPE),
        sop_class: data_set.string(tags::SOP_CLASS),
        sop_instance: data_set.string(tags::SOP_INSTANCE),
        format,
        content,
    }
}

/// Refuses samples that the file cannot hold or that are not decoded.
fn complete(file: &DicomFile, format: PixelFormat, len: Option<u32>, start: usize) -> std::result::Result<(), String> {
    let decoded = file.syntax.known.is_some_and(|syntax| syntax.codec() != Codec::Unsupported);
    if !decoded {
        return Err(format!("its transfer syntax, {}, is not decoded", file.syntax.name()));
    }
    let Some(len) = len else { return Ok(()) };
    let there = file.known_total().map_or(u64::MAX, |total| total.saturating_sub(start as u64)).min(len.into());
    if there < format.bytes() {
        return Err(format!("the pixel data has {there} of the {} bytes that the header promises", format.bytes()));
    }
    Ok(())
}

/// True for segments.
pub(super) fn is_segmentation(data_set: &DataSet<'_>) -> bool {
    data_set.string(tags::MODALITY) == "SEG" || SEGMENTATION.contains(&data_set.string(tags::SOP_CLASS).as_str())
}

/// Segmentation Storage and Label Map Segmentation Storage.
pub(super) const SEGMENTATION: [&str; 2] = ["1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"];

/// The files that a media directory names; names that lead out of its folder are left out (PS3.10, 8.5).
fn referenced(data_set: &DataSet<'_>) -> std::result::Result<Vec<PathBuf>, String> {
    let records = data_set.items(tags::DIRECTORY_RECORDS)?;
    let names = records.iter().filter_map(|record| record.text(tags::REFERENCED_FILE));
    let is_plain = |part: &&str| !part.is_empty() && !part.starts_with('.') && !part.contains(['/', ':', '\0']);
    Ok(names
        .filter(|name| name.split('\\').map(str::trim).all(|part| is_plain(&part)))
        .map(|name| name.split('\\').map(str::trim).collect())
        .collect())
}
