//! The header of a file to be written: the source's own bytes with the fields set that the new voxels need.

use super::extensions::{self, Extension};
use super::fields::{
    AUX_FILE, BITPIX, CAL_MAX, CAL_MIN, DATATYPE, DESCRIP, DIM, DIM_INFO, INTENT_CODE, INTENT_NAME, INTENT_P, PIXDIM,
    QFORM_CODE, Raw, SCL_INTER, SCL_SLOPE, SFORM_CODE, SLICE_CODE, SLICE_DURATION, SLICE_END, SLICE_START, VOX_OFFSET,
    Version, XYZT_UNITS,
};
use super::header::Header;
use super::label_table;
use super::transform::{self, Forms};
use crate::error::{Error, Result};
use crate::formats::DataType;
use crate::geometry::Grid;
use crate::volume::{LabelTable, NiftiSource, Source, SourceKind};

/// Grids whose corners are closer than this, in mm, are one: reordering axes there and back leaves less.
const SAME_GRID_MM: f64 = 1e-5;
/// `NIFTI_INTENT_LABEL`.
const INTENT_LABEL: f64 = 1002.0;
/// `NIFTI_XFORM_SCANNER_ANAT`, for grids that come from no NIfTI file.
const SCANNER_ANATOMICAL: f64 = 1.0;
/// `NIFTI_UNITS_MM`.
const MILLIMETERS: f64 = 2.0;
/// `NIFTI_UNITS_SEC`.
const SECONDS: f64 = 8.0;
/// `NIFTI_ECODE_AFNI`: attributes that repeat the grid.
const AFNI: i32 = 4;

/// What the voxels mean.
pub(super) enum Meaning<'a> {
    /// Label ids with their names.
    Labels(&'a LabelTable),
    /// The same quantity as in the source.
    Same,
    /// Another quantity, under this name.
    Quantity(&'a str),
}

/// Everything before the voxels of a single file, and its byte order.
pub(super) struct NewHeader {
    pub(super) bytes: Vec<u8>,
    pub(super) big_endian: bool,
}

/// Builds header and extensions for `volumes` volumes of `data_type` on `grid`.
///
/// On the source's grid its forms, codes and extensions stay as they are, but for a form that cannot be used; on another
/// one both forms are written anew.
///
/// # Errors
/// [`crate::ErrorKind::Usage`] when the source's header is none; [`crate::ErrorKind::Unsupported`] when the grid does
/// not fit into a header.
pub(super) fn build(
    grid: &Grid,
    volumes: usize,
    source: &Source,
    data_type: DataType,
    meaning: &Meaning,
) -> Result<NewHeader> {
    let nifti = match &source.kind {
        SourceKind::Nifti(nifti) => Some(nifti),
        _ => None,
    };
    let old = nifti.map(parse).transpose()?;
    let same = grid.shape() == source.grid.shape() && grid.corner_distance_mm(&source.grid) <= SAME_GRID_MM;
    let mut raw = match &old {
        Some(old) if old.raw.version() == Version::Two || fits_version_one(grid, volumes) => old.raw.clone(),
        _ => fresh(grid, volumes),
    };
    match &old {
        Some(old) if same => repair_forms(&mut raw, old),
        _ => {
            let fresh = if same && !source.oriented { 0.0 } else { SCANNER_ANATOMICAL };
            let code = old.as_ref().map_or(fresh, form_code);
            transform::set_forms(&mut raw, grid, code)?;
            for field in [DIM_INFO, SLICE_START, SLICE_END, SLICE_CODE, SLICE_DURATION] {
                raw.set(field, 0, 0.0);
            }
        }
    }
    let axes = old.as_ref().filter(|_| same).map_or(3, |old| old.shape.len().min(3));
    set_samples(&mut raw, grid, axes, data_type);
    if volumes > 1 {
        let shape = old.as_ref().filter(|old| old.volumes() == Some(volumes as u64)).map(|old| &old.shape[3..]);
        set_volumes(&mut raw, shape.unwrap_or(&[volumes as u64]));
        if let SourceKind::Dicom(dicom) = &source.kind
            && let Some(seconds) = dicom.time_step
        {
            raw.set(PIXDIM, 4, seconds);
            raw.set(XYZT_UNITS, 0, MILLIMETERS + SECONDS);
        }
    }
    set_meaning(&mut raw, meaning);

    let old = nifti.map_or(&[][..], |nifti| &nifti.extensions);
    let extensions = extensions::bytes(&new_extensions(old, same, meaning), &raw)?;
    let size = raw.version().size();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    raw.set(VOX_OFFSET, 0, (size + extensions.len()) as f64);
    raw.set_single_file();
    Ok(NewHeader { bytes: [raw.bytes(), &extensions].concat(), big_endian: raw.big_endian() })
}

fn parse(nifti: &NiftiSource) -> Result<Header> {
    Header::parse(&nifti.header).map_err(|e| Error::usage("the source's NIfTI header cannot be used").because(e))
}

fn fits_version_one(grid: &Grid, volumes: usize) -> bool {
    grid.shape().into_iter().chain([volumes]).all(|n| i16::try_from(n).is_ok())
}

fn fresh(grid: &Grid, volumes: usize) -> Raw {
    let mut raw = Raw::zeros(if fits_version_one(grid, volumes) { Version::One } else { Version::Two });
    raw.set(XYZT_UNITS, 0, MILLIMETERS);
    (4..8).for_each(|axis| raw.set(PIXDIM, axis, 1.0));
    raw.set_text(DESCRIP, &program());
    raw
}

fn program() -> String {
    format!("unet-vol {}", env!("CARGO_PKG_VERSION"))
}

/// The code of the form that placed the source.
#[expect(clippy::cast_precision_loss, reason = "a code of at most 5")]
fn form_code(old: &Header) -> f64 {
    let forms = Forms::read(old, &mut Vec::new());
    match (forms.sform, forms.qform) {
        (Some(_), _) => old.raw.int(SFORM_CODE, 0) as f64,
        (None, Some(_)) => old.raw.int(QFORM_CODE, 0) as f64,
        (None, None) => SCANNER_ANATOMICAL,
    }
}

/// Passes on no form and no spacing that the reader had to replace: other programs would take them at their word.
fn repair_forms(raw: &mut Raw, old: &Header) {
    let forms = Forms::read(old, &mut Vec::new());
    if forms.sform.is_none() {
        raw.set(SFORM_CODE, 0, 0.0);
    }
    if forms.qform.is_none() {
        raw.set(QFORM_CODE, 0, 0.0);
    }
    for (axis, spacing) in transform::spacing(&old.raw).into_iter().enumerate() {
        raw.set(PIXDIM, axis + 1, spacing);
    }
}

/// Shape, sample type and scaling.
#[expect(clippy::cast_precision_loss, reason = "axis lengths are far below 2^53")]
fn set_samples(raw: &mut Raw, grid: &Grid, axes: usize, data_type: DataType) {
    raw.set(DIM, 0, axes as f64);
    (1..8).for_each(|axis| raw.set(DIM, axis, 1.0));
    for (axis, n) in grid.shape().into_iter().enumerate() {
        raw.set(DIM, axis + 1, n as f64);
    }
    raw.set(DATATYPE, 0, code(data_type));
    raw.set(BITPIX, 0, 8.0 * data_type.size() as f64);
    raw.set(SCL_SLOPE, 0, 1.0);
    raw.set(SCL_INTER, 0, 0.0);
}

/// Lengths of the axes from the fourth on.
#[expect(clippy::cast_precision_loss, reason = "axis lengths are far below 2^53")]
fn set_volumes(raw: &mut Raw, shape: &[u64]) {
    raw.set(DIM, 0, (3 + shape.len()) as f64);
    for (axis, &n) in shape.iter().enumerate() {
        raw.set(DIM, 4 + axis, n as f64);
    }
}

fn set_meaning(raw: &mut Raw, meaning: &Meaning) {
    let (intent, name) = match meaning {
        Meaning::Same => return,
        Meaning::Labels(_) => (INTENT_LABEL, ""),
        Meaning::Quantity(name) => (0.0, *name),
    };
    raw.set(INTENT_CODE, 0, intent);
    (0..3).for_each(|n| raw.set(INTENT_P, n, 0.0));
    raw.set_text(INTENT_NAME, name);
    raw.set_text(AUX_FILE, "");
    raw.set_text(DESCRIP, &program());
    raw.set(CAL_MIN, 0, 0.0);
    raw.set(CAL_MAX, 0, 0.0);
}

/// The label table first, where readers that look at one extension only find it; then those of the source, without
/// a table of its own and, on another grid, without those that repeat the old one.
fn new_extensions(old: &[Extension], same_grid: bool, meaning: &Meaning) -> Vec<Extension> {
    let own_table = !matches!(meaning, Meaning::Same);
    let kept = old
        .iter()
        .filter(|extension| !(own_table && label_table::is_table(extension)) && (same_grid || extension.0 != AFNI));
    let table = match meaning {
        Meaning::Labels(table) => label_table::write(table),
        _ => Vec::new(),
    };
    table.into_iter().chain(kept.cloned()).collect()
}

/// The code of the standard.
fn code(data_type: DataType) -> f64 {
    use nifti::NiftiType as T;
    let kind = match data_type {
        DataType::UInt8 => T::Uint8,
        DataType::Int8 => T::Int8,
        DataType::UInt16 => T::Uint16,
        DataType::Int16 => T::Int16,
        DataType::UInt32 => T::Uint32,
        DataType::Int32 => T::Int32,
        DataType::UInt64 => T::Uint64,
        DataType::Int64 => T::Int64,
        DataType::Float32 => T::Float32,
        DataType::Float64 => T::Float64,
        DataType::Float128 => T::Float128,
        DataType::Complex64 => T::Complex64,
        DataType::Complex128 => T::Complex128,
        DataType::Complex256 => T::Complex256,
        DataType::Rgb24 => T::Rgb24,
        DataType::Rgba32 => T::Rgba32,
    };
    f64::from(kind as u16)
}
