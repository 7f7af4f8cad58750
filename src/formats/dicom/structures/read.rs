//! Reading a structure set.

use std::path::Path;

use super::super::data_set::DataSet;
use super::super::part10::DicomFile;
use super::super::tags;
use super::{Contour, Structure, StructureSet};
use crate::error::{Error, Result};
use crate::limits::Limits;

impl StructureSet {
    /// Reads the contours of a DICOM structure set (RTSTRUCT).
    ///
    /// # Errors
    /// [`crate::ErrorKind::Malformed`] when the file cannot be read or is damaged; [`crate::ErrorKind::Unsupported`] when
    /// it is no structure set; [`crate::ErrorKind::Limit`] when it is larger than the limits allow.
    pub fn read(path: impl AsRef<Path>, limits: &Limits) -> Result<Self> {
        let path = path.as_ref();
        let file = DicomFile::open(path, limits)?;
        let file = file.ok_or_else(|| Error::unsupported("this is no DICOM file").at(path))?;
        let parsed = file.parse();
        if let Some(fault) = parsed.fault {
            return Err(Error::malformed(fault.message(file.total())).at(path));
        }
        if parsed.data_set.get(tags::STRUCTURES).is_none() {
            return Err(Error::unsupported("this DICOM file holds no structure set").at(path));
        }
        of(&parsed.data_set).map_err(|message| Error::malformed(message).at(path))
    }
}

fn of(data_set: &DataSet<'_>) -> std::result::Result<StructureSet, String> {
    let mut series_uids = Vec::new();
    let mut frame_of_reference_uids = Vec::new();
    for frame in data_set.items(tags::REFERENCED_FRAMES_OF_REFERENCE)? {
        frame_of_reference_uids.push(frame.string(tags::FRAME_OF_REFERENCE));
        for study in frame.items(tags::RT_REFERENCED_STUDY)? {
            for series in study.items(tags::RT_REFERENCED_SERIES)? {
                series_uids.push(series.string(tags::SERIES));
            }
        }
    }
    let mut structures = Vec::new();
    for item in data_set.items(tags::STRUCTURES)? {
        let number = item.integer(tags::ROI_NUMBER).ok_or("a structure has no ROINumber")?;
        frame_of_reference_uids.push(item.string(tags::REFERENCED_FRAME_OF_REFERENCE));
        structures.push(Structure { number, name: item.string(tags::ROI_NAME), rgb: None, contours: Vec::new() });
    }
    for item in data_set.items(tags::ROI_CONTOURS)? {
        let number = item.integer(tags::REFERENCED_ROI_NUMBER);
        let owner = structures.iter_mut().find(|structure| Some(structure.number) == number);
        let structure = owner.ok_or_else(|| format!("contours belong to structure {number:?}, which is not listed"))?;
        structure.rgb = color(&item.numbers(tags::ROI_DISPLAY_COLOR)?);
        for contour in item.items(tags::CONTOURS)? {
            let of_structure = |message| format!("a contour of {:?}: {message}", structure.name);
            structure.contours.push(read(&contour).map_err(of_structure)?);
        }
    }
    for uids in [&mut series_uids, &mut frame_of_reference_uids] {
        uids.retain(|uid| !uid.is_empty());
        uids.sort_unstable();
        uids.dedup();
    }
    let label = data_set.string(tags::STRUCTURE_SET_LABEL);
    Ok(StructureSet { label, series_uids, frame_of_reference_uids, structures })
}

fn read(contour: &DataSet<'_>) -> std::result::Result<Contour, String> {
    let values = contour.numbers(tags::CONTOUR_DATA)?;
    match values.as_chunks() {
        (points, []) => Ok(Contour { kind: contour.string(tags::CONTOUR_TYPE), points: points.to_vec() }),
        _ => Err(format!("{} coordinates are no points of three", values.len())),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=255")]
fn color(values: &[f64]) -> Option<[u8; 3]> {
    <[f64; 3]>::try_from(values).ok().map(|rgb| rgb.map(|value| value.clamp(0.0, 255.0) as u8))
}
