//! Secondary captures (PS3.3 A.8.1): pictures of a series' slices, for archives and viewers that show nothing else.

use std::path::Path;

use rayon::prelude::*;

use super::attributes::*;
use super::common::{self, Kind, NewSeries};
use super::object::Object;
use super::terms;
use crate::error::{Error, Result};
use crate::formats::CAPTURE;
use crate::fs::{self, Overwrite};
use crate::volume::{DicomSlice, Source};

const SECONDARY_CAPTURE_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.7";

/// Columns and rows of a picture, and red, green and blue of its pixels, the top row first.
pub type Pixels = ([usize; 2], Vec<u8>);

/// Writes pictures as a series of secondary captures into a new folder: `legend` as the first one, then one for each slice
/// of the source, which must be a DICOM series, in the order of its images and at their places in the patient. `picture`
/// draws slice `n` of [`DicomSource::slices`](crate::volume::DicomSource::slices) in its own columns and rows; `title` says
/// what is shown.
///
/// # Errors
/// [`crate::ErrorKind::Unsupported`] for a source of another format; [`crate::ErrorKind::Usage`] when the folder exists
/// and must not be replaced, or holds anything else; [`crate::ErrorKind::Malformed`] when the source lacks what refers to
/// its images; [`crate::ErrorKind::Output`] when files cannot be written; what `picture` returns.
pub fn write_captures(
    folder: &Path,
    source: &Source,
    legend: Pixels,
    picture: impl Fn(usize) -> Result<Pixels> + Sync,
    title: &str,
    overwrite: Overwrite,
) -> Result<()> {
    let dicom = common::dicom_source(source)?;
    let kind = Kind {
        sop_class: SECONDARY_CAPTURE_STORAGE,
        modality: "OT",
        description: format!("Pictures, {title}").into(),
        number: 3,
    };
    let series = NewSeries::beside(dicom, kind)?;
    fs::write_folder(folder, overwrite, CAPTURE, |folder| {
        let write = |n: usize, object: Object| {
            object.write(&folder.join(format!("{CAPTURE}{:04}.dcm", n + 1)), Overwrite::Refuse)
        };
        let first = image(series.instance(1).without(FRAME_OF_REFERENCE).without(POSITION_REFERENCE), legend)?;
        write(0, first.empty(PATIENT_ORIENTATION))?;
        let purpose = terms::code("DCM", "121322", "Source image for image processing operation");
        let mut slices: Vec<(usize, &DicomSlice)> = dicom.slices.iter().enumerate().collect();
        slices.sort_by_key(|(k, slice)| (slice.number, *k));
        slices.into_par_iter().enumerate().try_for_each(|(n, (k, slice))| {
            let object = image(series.instance(n + 2), picture(k)?)?;
            let object = if common::is_placed(dicom) {
                object.text(IMAGE_POSITION, &slice.position).text(IMAGE_ORIENTATION, &slice.orientation)
            } else {
                object.without(FRAME_OF_REFERENCE).without(POSITION_REFERENCE)
            };
            let object = object
                .text(PATIENT_ORIENTATION, letters(&slice.orientation))
                .text(PIXEL_SPACING, &dicom.pixel_spacing)
                .items(SOURCE_IMAGES, [common::image(slice).items(PURPOSE_OF_REFERENCE, [purpose.clone()])]);
            write(n + 1, object)
        })
    })
}

/// Sides of the patient that rows and columns run to, nearest axis first (PS3.3, C.7.6.1.1.1); empty where nothing is known.
fn letters(orientation: &str) -> String {
    const SIDES: [[char; 2]; 3] = [['R', 'L'], ['A', 'P'], ['F', 'H']];
    /// Axes that a direction has less of than this are left out.
    const LEAST: f64 = 0.1;
    let values: Vec<f64> = orientation.split('\\').filter_map(|value| value.trim().parse().ok()).collect();
    let of = |direction: &[f64]| {
        let mut parts: Vec<_> = direction.iter().zip(SIDES).filter(|(part, _)| part.abs() > LEAST).collect();
        parts.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
        parts.into_iter().map(|(part, side)| side[usize::from(*part > 0.0)]).collect::<String>()
    };
    values.chunks_exact(3).map(of).collect::<Vec<_>>().join("\\")
}

fn image(object: Object, ([columns, rows], rgb): Pixels) -> Result<Object> {
    let side =
        |n: usize| u16::try_from(n).map_err(|_| Error::unsupported(format!("{n} pixels are too many for a picture")));
    let (columns, rows) = (side(columns)?, side(rows)?);
    Ok(object
        .text(IMAGE_TYPE, "DERIVED\\SECONDARY")
        .empty(LATERALITY)
        .text(CONVERSION_TYPE, "WSD")
        .text(BURNED_IN_ANNOTATION, "NO")
        .words(SAMPLES_PER_PIXEL, &[3])
        .text(PHOTOMETRIC, "RGB")
        .words(PLANAR_CONFIGURATION, &[0])
        .words(ROWS, &[rows])
        .words(COLUMNS, &[columns])
        .words(BITS_ALLOCATED, &[8])
        .words(BITS_STORED, &[8])
        .words(HIGH_BIT, &[7])
        .words(PIXEL_REPRESENTATION, &[0])
        .bytes(PIXEL_DATA, rgb))
}

#[cfg(test)]
mod tests {
    use super::letters;

    #[test]
    fn rows_and_columns_run_to_sides() {
        assert_eq!(letters("1\\0\\0\\0\\1\\0"), "L\\P");
        assert_eq!(letters("0\\0.8\\-0.6\\-1\\0\\0.05"), "PF\\R");
        assert_eq!(letters(""), "");
    }
}
