//! Projections (CR, DX and the like): one image without a place in the patient, as a volume of one slice.

use super::data_set::DataSet;
use super::decimal::decimals;
use super::pixels::PixelFormat;
use super::plane::{self, Plane, Vector, add, cross, length, scale};
use super::tags::{self, Tag};
use crate::error::Warning;

/// Modalities of projections (PS3.3, C.7.3.1.1.1).
pub(super) const MODALITIES: [&str; 7] = ["CR", "DX", "DR", "MG", "PX", "IO", "RG"];

/// Spacings in the order of preference (PS3.3, 10.7.1.1, C.8.11.3): name, tag, what it measures.
const SPACINGS: [(&str, Tag, &str); 3] = [
    ("PixelSpacing", tags::PIXEL_SPACING, "calibrated, or at the detector where nothing was calibrated"),
    ("ImagerPixelSpacing", tags::IMAGER_PIXEL_SPACING, "at the detector: the patient is magnified"),
    ("NominalScannedPixelSpacing", tags::NOMINAL_SCANNED_PIXEL_SPACING, "of the scanned film"),
];

/// True for a projection that has no place in the patient.
pub(super) fn is_radiograph(data_set: &DataSet<'_>, format: PixelFormat) -> bool {
    format.frames == 1
        && data_set.get(tags::IMAGE_ORIENTATION).is_none()
        && MODALITIES.contains(&data_set.string(tags::MODALITY).as_str())
}

/// The image, centered on 0; rows and columns point where PatientOrientation says, else nowhere that is known.
pub(super) fn plane(data_set: &DataSet<'_>, format: PixelFormat) -> Result<Plane, String> {
    let (spacing, note) = spacing(data_set)?;
    let known = orientation(&data_set.string(tags::PATIENT_ORIENTATION));
    let (row, column) = known.unwrap_or(([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]));
    let half = |n: u32, mm: f64| -0.5 * f64::from(n.saturating_sub(1)) * mm;
    let position = add(scale(row, half(format.columns, spacing[1])), scale(column, half(format.rows, spacing[0])));
    let mut notes = vec![note];
    notes.push(match known {
        Some(_) => Warning::new("no-position", "a projection has no place in the patient: its center is taken as 0"),
        None => {
            Warning::new("no-orientation", "the image does not say where left and right are; LAS is a mere convention")
        }
    });
    Ok(Plane {
        frame: 0,
        tile: None,
        position,
        row,
        column,
        spacing,
        between: None,
        thickness: None,
        rescale: plane::rescale(data_set)?,
        order: [0, 0, data_set.integer(tags::INSTANCE_NUMBER).unwrap_or(0)],
        // Each image stands for itself.
        kind: data_set.string(tags::SOP_INSTANCE),
        // Objects that refer to it state no place of their own making.
        position_text: String::new(),
        orientation_text: String::new(),
        spacing_text: decimals(&spacing),
        is_oriented: known.is_some(),
        notes,
    })
}

/// mm between rows, between columns, and what they measure.
fn spacing(data_set: &DataSet<'_>) -> Result<([f64; 2], Warning), String> {
    for (name, tag, meaning) in SPACINGS {
        if let &[rows, columns] = data_set.numbers(tag)?.as_slice()
            && rows > 0.0
            && columns > 0.0
        {
            let message = format!("the spacing is that of {name} ({meaning})");
            return Ok(([rows, columns], Warning::new("projection-spacing", message)));
        }
    }
    let message = "the image gives no pixel spacing: 1 mm is taken, so that sizes and volumes mean nothing";
    Ok(([1.0, 1.0], Warning::new("no-spacing", message)))
}

/// Directions (LPS+) of rows and columns by the first letters of PatientOrientation (PS3.3, C.7.6.1.1.1).
fn orientation(text: &str) -> Option<(Vector, Vector)> {
    let direction = |letters: &str| match letters.trim().chars().next()? {
        'L' => Some([1.0, 0.0, 0.0]),
        'R' => Some([-1.0, 0.0, 0.0]),
        'P' => Some([0.0, 1.0, 0.0]),
        'A' => Some([0.0, -1.0, 0.0]),
        'H' => Some([0.0, 0.0, 1.0]),
        'F' => Some([0.0, 0.0, -1.0]),
        _ => None,
    };
    let (row, column) = text.split_once('\\')?;
    let (row, column) = (direction(row)?, direction(column)?);
    (length(cross(row, column)) > 0.5).then_some((row, column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_directions() {
        assert_eq!(orientation("L\\F"), Some(([1.0, 0.0, 0.0], [0.0, 0.0, -1.0])));
        assert_eq!(orientation("AR\\FP"), Some(([0.0, -1.0, 0.0], [0.0, 0.0, -1.0])));
        for odd in ["", "L", "L\\R", "L\\", "LE\\X"] {
            assert_eq!(orientation(odd), None, "{odd}");
        }
    }
}
