//! DICOM segmentations (SEG): one bit per voxel and segment, or a label map (PS3.3, A.51, A.51.7, C.8.20).

use std::path::Path;

use rayon::prelude::*;

use super::super::decimal::decimal;
use super::attributes::*;
use super::common::{self, Kind, NewSeries, Repertoire};
use super::frames::{Frame, Frames};
use super::object::Object;
use super::uid::new_uid;
use super::{pack, terms};
use crate::error::{Error, Result};
use crate::formats::dicom::color::cielab;
use crate::fs::Overwrite;
use crate::volume::{DicomSource, Label, LabelMap, Source};

/// How a segmentation stores its voxels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SegmentationType {
    /// One bit per voxel and segment, segments numbered from 1: what every reader of segmentations knows.
    #[default]
    Binary,
    /// The label ids themselves, one frame per slice: small and quick with many segments, but new (standard of 2024).
    Labelmap,
}

/// How [`write_segmentation`] writes.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SegmentationOptions {
    /// How voxels are stored.
    pub kind: SegmentationType,
    /// Writes frames without a voxel too: they make a larger file, which some viewers need.
    pub keep_empty_frames: bool,
    /// What made the labels, such as the name of a model.
    pub algorithm: String,
    /// Its version.
    pub algorithm_version: String,
    /// Whether an existing file is replaced.
    pub overwrite: Overwrite,
}

/// Writes labels as a DICOM segmentation of the series that they were made from.
///
/// The object belongs to the source's study and frame of reference, lies on its slices, in their order, and refers to
/// each of its images; of a projection it states no place but the image. Segments are the labels of the table and ids that it lacks; their codes, sides and colors come
/// from the table. Slices that were interpolated have no image and no frame. A description `label <id>` keeps the id of a segment, whose number counts from 1 in a binary one.
///
/// # Errors
/// [`crate::ErrorKind::Unsupported`] when the source is no DICOM series; [`crate::ErrorKind::Usage`] when the labels lie
/// on another grid, or on an even one that lacks slices ([`Source::by_slice`]), or the file exists; [`crate::ErrorKind::Malformed`] when the source lacks identifiers;
/// [`crate::ErrorKind::Output`] when the file cannot be written.
pub fn write_segmentation(
    path: impl AsRef<Path>,
    labels: &LabelMap,
    source: &Source,
    options: &SegmentationOptions,
) -> Result<()> {
    let path = path.as_ref();
    common::dicom_source(source)?;
    let (labels, source) = common::by_slice(labels, source).map_err(|e| e.at(path))?;
    let (labels, dicom) = (labels.as_ref(), common::dicom_source(&source)?);
    let is_binary = options.kind == SegmentationType::Binary;
    let kind = Kind {
        sop_class: if is_binary { "1.2.840.10008.5.1.4.1.1.66.4" } else { "1.2.840.10008.5.1.4.1.1.66.7" },
        modality: "SEG",
        description: format!("Segmentation {}", options.algorithm).into(),
        number: 1,
    };
    let series = NewSeries::beside(dicom, kind)?;
    let frames = Frames::of(labels, dicom, is_binary, options.keep_empty_frames);
    let segments: Vec<Object> = if is_binary {
        let numbered = frames.segments.iter().enumerate();
        numbered.map(|(n, label)| segment(n + 1, label, options, series.repertoire)).collect()
    } else {
        let labels = frames.segments.iter().map(|label| segment(label.id.into(), label, options, series.repertoire));
        std::iter::once(background()).chain(labels).collect()
    };
    let is_placed = common::is_placed(dicom);
    let object = series.instance(1);
    let object = if is_placed {
        object
    } else {
        object.without(FRAME_OF_REFERENCE).without(POSITION_REFERENCE).empty(PATIENT_ORIENTATION)
    };
    let object = object
        .text(IMAGE_TYPE, "DERIVED\\PRIMARY")
        .text(CONTENT_LABEL, "SEGMENTATION")
        .text(CONTENT_DESCRIPTION, "Segmentation, for research only")
        .text(CONTENT_CREATOR, "unet-vol^")
        .text(LOSSY_COMPRESSION, "00")
        .text(SEGMENTATION_TYPE, if is_binary { "BINARY" } else { "LABELMAP" })
        .items(SEGMENTS, segments)
        .items(REFERENCED_SERIES, [common::referenced_series(dicom)])
        .items(SHARED_GROUPS, [shared_groups(&source, dicom)]);
    let encoded = frames.list.par_iter().map(|frame| groups(frame, is_binary, is_placed).encoded());
    let encoded = encoded.collect::<Result<Vec<_>>>()?;
    let object = dimensions(object, is_binary, is_placed).large(PER_FRAME_GROUPS, encoded.concat())?;
    samples(object, labels, &frames, is_binary)?.write(path, options.overwrite)
}

/// One segment (PS3.3, C.8.20.4).
fn segment(number: usize, label: &Label, options: &SegmentationOptions, repertoire: Repertoire) -> Object {
    let (name, version) = (repertoire.text(&options.algorithm, 64), repertoire.text(&options.algorithm_version, 64));
    let name = if name.is_empty() { "unet-vol".to_owned() } else { name };
    let algorithm = Object::default()
        .items(ALGORITHM_FAMILY, [terms::code("DCM", "123109", "Artificial Intelligence")])
        .text(ALGORITHM_NAME, &name)
        .text(ALGORITHM_VERSION, if version.is_empty() { env!("CARGO_PKG_VERSION").to_owned() } else { version });
    let object = Object::default()
        .words(SEGMENT_NUMBER, &[u16::try_from(number).unwrap_or(u16::MAX)])
        .text(SEGMENT_LABEL, repertoire.text(&label.name, 64))
        .text(SEGMENT_DESCRIPTION, format!("label {}", label.id))
        .text(SEGMENT_ALGORITHM_TYPE, "AUTOMATIC")
        .text(SEGMENT_ALGORITHM_NAME, name)
        .items(ALGORITHM_IDENTIFICATION, [algorithm])
        .words(DISPLAY_CIELAB, &cielab(label.rgb));
    terms::describe(object, label, repertoire)
}

/// The segment 0 of a label map: readers count segments by their descriptions.
fn background() -> Object {
    Object::default()
        .words(SEGMENT_NUMBER, &[0])
        .text(SEGMENT_LABEL, "Background")
        .text(SEGMENT_ALGORITHM_TYPE, "AUTOMATIC")
        .text(SEGMENT_ALGORITHM_NAME, "unet-vol")
        .items(PROPERTY_CATEGORY, [terms::code("SCT", "309825002", "Spatial and Relational Concept")])
        .items(PROPERTY_TYPE, [terms::code("DCM", "125040", "Background")])
}

/// What all frames share: voxel size and orientation; nothing where the source has no place in the patient.
fn shared_groups(source: &Source, dicom: &DicomSource) -> Object {
    let Some(slice) = dicom.slices.first().filter(|_| common::is_placed(dicom)) else { return Object::default() };
    let measures = Object::default().text(PIXEL_SPACING, &dicom.pixel_spacing);
    let measures = match dicom.slice_distance.map(decimal) {
        Some(mm) => measures.text(SLICE_THICKNESS, &mm).text(SPACING_BETWEEN_SLICES, &mm),
        // Slices of uneven steps have no spacing that could be stated, but readers want a thickness.
        None => {
            let mm = dicom.slice_thickness.unwrap_or_else(|| source.grid.slice_distance());
            measures.text(SLICE_THICKNESS, decimal(mm))
        }
    };
    Object::default()
        .items(PIXEL_MEASURES, [measures])
        .items(PLANE_ORIENTATION, [Object::default().text(IMAGE_ORIENTATION, &slice.orientation)])
}

/// What one frame is: its place, if it has one, its segment and the image that it was made from.
fn groups(frame: &Frame<'_>, is_binary: bool, is_placed: bool) -> Object {
    let image = common::image(frame.source)
        .items(PURPOSE_OF_REFERENCE, [terms::code("DCM", "121322", "Source image for image processing operation")])
        .text(SPATIAL_LOCATIONS_PRESERVED, "YES");
    let source = Object::default()
        .items(SOURCE_IMAGES, [image])
        .items(DERIVATION_CODE, [terms::code("DCM", "113076", "Segmentation")]);
    let index = match (is_binary, is_placed) {
        (true, true) => &frame.index[..],
        (true, false) => &frame.index[..1],
        (false, _) => &frame.index[1..],
    };
    let content = Object::default().longs(DIMENSION_INDEX_VALUES, index);
    let has_label = !is_binary && !is_placed;
    let content = if has_label { content.text(FRAME_LABEL, frame.index[1].to_string()) } else { content };
    let object = Object::default().items(DERIVATION_IMAGES, [source]).items(FRAME_CONTENT, [content]);
    let position = Object::default().text(IMAGE_POSITION, &frame.source.position);
    let object = if is_placed { object.items(PLANE_POSITION, [position]) } else { object };
    if !is_binary {
        return object;
    }
    let number = u16::try_from(frame.index[0]).unwrap_or(u16::MAX);
    object.items(SEGMENT_IDENTIFICATION, [Object::default().words(REFERENCED_SEGMENT, &[number])])
}

/// Frames are indexed by segment (where each has its own) and position (PS3.3, C.7.6.17); by a label where there is neither.
fn dimensions(object: Object, is_binary: bool, is_placed: bool) -> Object {
    let uid = new_uid();
    let index = |pointer, group, description: &str| {
        Object::default()
            .text(DIMENSION_ORGANIZATION_UID, &uid)
            .pointer(DIMENSION_INDEX_POINTER, pointer)
            .pointer(FUNCTIONAL_GROUP_POINTER, group)
            .text(DIMENSION_DESCRIPTION, description)
    };
    let segment = is_binary.then(|| index(REFERENCED_SEGMENT, SEGMENT_IDENTIFICATION, "Segment"));
    let frame = match (is_placed, is_binary) {
        (true, _) => Some(index(IMAGE_POSITION, PLANE_POSITION, "Position")),
        (false, true) => None,
        (false, false) => Some(index(FRAME_LABEL, FRAME_CONTENT, "Frame")),
    };
    object
        .items(DIMENSION_ORGANIZATIONS, [Object::default().text(DIMENSION_ORGANIZATION_UID, &uid)])
        .items(DIMENSION_INDEXES, segment.into_iter().chain(frame))
}

/// The image pixel module and the samples.
fn samples(object: Object, labels: &LabelMap, frames: &Frames<'_>, is_binary: bool) -> Result<Object> {
    let [columns, rows, _] = labels.grid().shape();
    let side = |n: usize| u16::try_from(n).map_err(|_| Error::unsupported(format!("{n} rows or columns are too many")));
    let (columns, rows) = (side(columns)?, side(rows)?);
    let largest = frames.segments.iter().map(|label| label.id).max().unwrap_or(0);
    let planes: Vec<&[u16]> = labels.ids.data().chunks(usize::from(rows) * usize::from(columns)).collect();
    let of = |frame: &Frame<'_>| planes.get(frame.k).copied().unwrap_or_default();
    let (bits, pixel_data) = if is_binary {
        let list: Vec<_> = frames.list.iter().map(|frame| (frame.label, of(frame))).collect();
        (1, object.large(PIXEL_DATA, pack::bits(&list)?)?)
    } else if largest <= u16::from(u8::MAX) {
        let bytes = frames.list.iter().flat_map(of).map(|id| id.to_le_bytes()[0]).collect();
        (8, object.large(PIXEL_DATA, bytes)?)
    } else {
        let bytes = frames.list.iter().flat_map(of).flat_map(|id| id.to_le_bytes()).collect();
        (16, object.large(PIXEL_DATA_WORDS, bytes)?)
    };
    let object = pixel_data
        .words(SAMPLES_PER_PIXEL, &[1])
        .text(PHOTOMETRIC, "MONOCHROME2")
        .text(NUMBER_OF_FRAMES, frames.list.len().to_string())
        .words(ROWS, &[rows])
        .words(COLUMNS, &[columns])
        .words(BITS_ALLOCATED, &[bits])
        .words(BITS_STORED, &[bits])
        .words(HIGH_BIT, &[bits - 1])
        .words(PIXEL_REPRESENTATION, &[0]);
    Ok(if is_binary { object.text(SEGMENTS_OVERLAP, "NO") } else { object.words(PIXEL_PADDING_VALUE, &[0]) })
}
