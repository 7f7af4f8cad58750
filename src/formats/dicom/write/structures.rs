//! Structure sets (RTSTRUCT, PS3.3 A.19): labels as contours on the source's slices.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use super::super::contours::{INSET, Point, outlined};
use super::super::decimal::{decimal, decimals};
use super::attributes::*;
use super::common::{self, Kind, NewSeries};
use super::object::{IMPLICIT_LITTLE_ENDIAN, Object};
use super::terms;
use crate::error::{Error, Result};
use crate::fs::Overwrite;
use crate::volume::{DicomSlice, DicomSource, LabelMap, Source};

const STRUCTURE_SET_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.481.3";
/// Detached Study Management: retired, but the only class that a study can be referred to by.
const DETACHED_STUDY: &str = "1.2.840.10008.3.1.2.3.1";

/// Writes labels as a DICOM structure set (RTSTRUCT): for each label that occurs closed contours on the slices of the
/// source, which must be a DICOM series that the labels are on the grid of. `title` says what made them.
///
/// Contours follow the edges of the voxels, a hundredth of a voxel inside; holes are cut out through a slit. Slices that
/// were interpolated have no image and no contours.
///
/// # Errors
/// [`crate::ErrorKind::Unsupported`] for a source of another format and for a projection; [`crate::ErrorKind::Usage`] when the labels are not
/// on its grid, or on an even one that lacks slices ([`Source::by_slice`]), or the file exists and must not be replaced; [`crate::ErrorKind::Malformed`] when the source lacks what
/// refers to its images; [`crate::ErrorKind::Output`] when the file cannot be written.
pub fn write_structures(
    path: &Path,
    labels: &LabelMap,
    source: &Source,
    title: &str,
    overwrite: Overwrite,
) -> Result<()> {
    common::dicom_source(source)?;
    let (labels, source) = common::by_slice(labels, source).map_err(|e| e.at(path))?;
    let (labels, dicom) = (labels.as_ref(), common::dicom_source(&source)?);
    if !common::is_placed(dicom) {
        let message = "contours lie in the patient, where a projection has no place";
        return Err(Error::unsupported(message).at(path).hint("use --format dicom-seg"));
    }
    let kind = Kind {
        sop_class: STRUCTURE_SET_STORAGE,
        modality: "RTSTRUCT",
        description: format!("Structures, {title}").into(),
        number: 2,
    };
    let series = NewSeries::beside(dicom, kind)?;
    let rois = rois(labels, dicom)?;
    let text = |text: &str, longest| series.repertoire.text(text, longest);
    let object = series
        .instance(1)
        .without(CONTENT_DATE)
        .without(CONTENT_TIME)
        .empty(OPERATORS)
        .text(STRUCTURE_SET_LABEL, text(title, 16))
        .text(STRUCTURE_SET_NAME, text(title, 64))
        .text(STRUCTURE_SET_DATE, &series.now.date)
        .text(STRUCTURE_SET_TIME, &series.now.time)
        .items(REFERENCED_FRAMES_OF_REFERENCE, [referenced_frame(dicom, series.frame_of_reference())])
        .items(STRUCTURES, rois.iter().map(|roi| roi.structure(&series, labels, dicom, title)))
        .items(ROI_OBSERVATIONS, rois.iter().map(|roi| roi.observation(&series, labels)))
        .items(ROI_CONTOURS, rois.into_iter().map(|roi| roi.contours(labels)))
        .text(APPROVAL_STATUS, "UNAPPROVED");
    // Contours may be longer than the 64 KiB that a text has in explicit little endian.
    object.write_as(IMPLICIT_LITTLE_ENDIAN, path, overwrite)
}

/// Where the contours belong: frame of reference, study, series and all images.
fn referenced_frame(source: &DicomSource, frame_of_reference: &str) -> Object {
    let series = Object::default()
        .text(SERIES, &source.series_uid)
        .items(CONTOUR_IMAGES, common::instances(source).map(common::instance));
    let study = Object::default()
        .text(REFERENCED_SOP_CLASS, DETACHED_STUDY)
        .text(REFERENCED_SOP_INSTANCE, &source.study_uid)
        .items(RT_REFERENCED_SERIES, [series]);
    Object::default().text(FRAME_OF_REFERENCE, frame_of_reference).items(RT_REFERENCED_STUDY, [study])
}

/// One label with its contours.
struct Roi {
    id: u16,
    voxels: usize,
    contours: Vec<Object>,
}

/// All labels that occur, in ascending order; all of the table, without contours, where none does.
fn rois(labels: &LabelMap, source: &DicomSource) -> Result<Vec<Roi>> {
    let [columns, rows, _] = labels.grid().shape();
    let planes: Vec<_> = labels.ids.data().chunks_exact(columns * rows).collect();
    let on_slice = |(k, slice): (usize, &DicomSlice)| {
        let plane = SlicePlane::of(slice, source)?;
        let ids = planes.get(k).ok_or_else(|| Error::internal("a slice lies outside its volume"))?;
        let contours = outlined(ids, columns)?.into_iter().map(|outlined| {
            (outlined.id, outlined.contours.iter().map(|contour| plane.contour(contour, slice)).collect())
        });
        Ok(contours.collect::<Vec<(u16, Vec<Object>)>>())
    };
    let slices: Vec<_> = source.slices.iter().enumerate().collect();
    let mut rois: BTreeMap<u16, Roi> = BTreeMap::new();
    let roi = |id| Roi { id, voxels: 0, contours: Vec::new() };
    for (id, contours) in slices.into_par_iter().map(on_slice).collect::<Result<Vec<_>>>()?.into_iter().flatten() {
        rois.entry(id).or_insert_with(|| roi(id)).contours.extend(contours);
    }
    for id in labels.ids.data() {
        if let Some(roi) = rois.get_mut(id) {
            roi.voxels += 1;
        }
    }
    if rois.is_empty() {
        return Ok(labels.table.labels().iter().map(|label| roi(label.id)).collect());
    }
    Ok(rois.into_values().collect())
}

impl Roi {
    /// An item of StructureSetROISequence.
    fn structure(&self, series: &NewSeries<'_>, labels: &LabelMap, source: &DicomSource, title: &str) -> Object {
        let distance = labels.grid().slice_distance();
        let has_all_slices = source.slice_distance.is_some_and(|mm| (mm - distance).abs() < 1e-3 * mm);
        #[expect(clippy::cast_precision_loss, reason = "numbers of voxels are far below 2^53")]
        let ml = self.voxels as f64 * labels.grid().voxel_mm3() / 1000.0;
        let object = Object::default()
            .text(ROI_NUMBER, self.id.to_string())
            .text(REFERENCED_FRAME_OF_REFERENCE, series.frame_of_reference())
            .text(ROI_NAME, series.repertoire.text(&labels.table.name(self.id), 64))
            .text(ROI_ALGORITHM, "AUTOMATIC")
            .text(ROI_ALGORITHM_DESCRIPTION, series.repertoire.text(title, 64));
        // What lies between slices of which some are missing is not known.
        if has_all_slices { object.text(ROI_VOLUME, decimal(ml)) } else { object }
    }

    /// An item of ROIContourSequence.
    fn contours(self, labels: &LabelMap) -> Object {
        let rgb = labels.table.rgb(self.id).map(|value| value.to_string());
        let object =
            Object::default().text(ROI_DISPLAY_COLOR, rgb.join("\\")).text(REFERENCED_ROI_NUMBER, self.id.to_string());
        if self.contours.is_empty() { object } else { object.items(CONTOURS, self.contours) }
    }

    /// An item of RTROIObservationsSequence.
    fn observation(&self, series: &NewSeries<'_>, labels: &LabelMap) -> Object {
        let object = Object::default()
            .text(OBSERVATION_NUMBER, self.id.to_string())
            .text(REFERENCED_ROI_NUMBER, self.id.to_string())
            .text(ROI_INTERPRETED_TYPE, "ORGAN")
            .empty(ROI_INTERPRETER);
        match labels.table.get(self.id).and_then(|label| label.code.as_ref()) {
            Some(term) => {
                let [scheme, value] = [&term.scheme, &term.value].map(|text| series.repertoire.text(text, 16));
                object.items(ROI_CODES, [terms::code(&scheme, &value, &series.repertoire.text(&term.meaning, 64))])
            }
            None => object,
        }
    }
}

/// Columns and rows of a slice to mm in the patient's coordinates of DICOM (LPS+), as its file says.
struct SlicePlane {
    position: [f64; 3],
    /// mm from column to column and from row to row.
    steps: [[f64; 3]; 2],
    /// Parts of a mm that a coordinate is rounded to: a tenth of [`INSET`] or finer.
    rounding: f64,
}

impl SlicePlane {
    fn of(slice: &DicomSlice, source: &DicomSource) -> Result<Self> {
        fn numbers<const N: usize>(text: &str) -> Option<[f64; N]> {
            let values: Option<Vec<f64>> = text.split('\\').map(|part| part.trim().parse().ok()).collect();
            values?.try_into().ok()
        }
        let plane = (|| {
            let position = numbers(&slice.position)?;
            let [a, b, c, d, e, f] = numbers(&slice.orientation)?;
            let [between_rows, between_columns] = numbers(&source.pixel_spacing)?;
            let steps = [[a, b, c].map(|v| v * between_columns), [d, e, f].map(|v| v * between_rows)];
            let digits = -(0.1 * INSET * f64::min(between_rows, between_columns)).log10().floor();
            Some(Self { position, steps, rounding: 10_f64.powf(digits) })
        })();
        plane.ok_or_else(|| Error::internal("the place of a slice was lost").at(&slice.path))
    }

    fn mm(&self, [i, j]: Point) -> [f64; 3] {
        [0, 1, 2].map(|axis| {
            let mm = self.position[axis] + i * self.steps[0][axis] + j * self.steps[1][axis];
            (mm * self.rounding).round() / self.rounding
        })
    }

    /// An item of ContourSequence.
    fn contour(&self, points: &[Point], slice: &DicomSlice) -> Object {
        let mm: Vec<f64> = points.iter().flat_map(|&point| self.mm(point)).collect();
        Object::default()
            .items(CONTOUR_IMAGES, [common::image(slice)])
            .text(CONTOUR_TYPE, "CLOSED_PLANAR")
            .text(CONTOUR_POINTS, points.len().to_string())
            .text(CONTOUR_DATA, decimals(&mm))
    }
}
