//! Image planes: where each frame lies, as its header says.

use super::data_set::DataSet;
use super::decimal::decimals;
use super::pixels::PixelFormat;
use super::tags::{self, Tag};
use super::{mosaic, multiframe, radiograph};
use crate::error::Warning;

/// Values of 3 numbers, in mm or without unit, in the patient's coordinates (LPS+).
pub(super) type Vector = [f64; 3];

/// One plane of samples and where it lies (PS3.3, C.7.6.2).
#[derive(Debug, Clone)]
pub(super) struct Plane {
    /// Frame in its file, from 0.
    pub(super) frame: usize,
    /// Tile of a mosaic, from 0.
    pub(super) tile: Option<usize>,
    /// Center of the first sample (LPS, mm).
    pub(super) position: Vector,
    /// Direction of growing column index.
    pub(super) row: Vector,
    /// Direction of growing row index.
    pub(super) column: Vector,
    /// mm between rows, between columns.
    pub(super) spacing: [f64; 2],
    pub(super) thickness: Option<f64>,
    /// mm from slice to slice, as the file has it.
    pub(super) between: Option<f64>,
    /// Slope and intercept.
    pub(super) rescale: (f64, f64),
    /// Sorts the planes of one position.
    pub(super) order: [i64; 3],
    /// What separates volumes within a series, beside geometry.
    pub(super) kind: String,
    /// Position, orientation and pixel spacing as the file writes them.
    pub(super) position_text: String,
    pub(super) orientation_text: String,
    pub(super) spacing_text: String,
    /// False when the directions are made up.
    pub(super) is_oriented: bool,
    /// What is odd about its place.
    pub(super) notes: Vec<Warning>,
}

impl Plane {
    /// The same plane at another position.
    pub(super) fn moved(&self, position: Vector) -> Self {
        Self { position, position_text: decimals(&position), ..self.clone() }
    }
}

/// How a file lays out its planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// One plane, or frames along a normal (dose).
    Single,
    Multiframe,
    /// An image that is no slice.
    Projection,
    Mosaic(mosaic::Tiling),
}

/// The planes of a file; an error says why they have no place.
pub(super) fn planes(data_set: &DataSet<'_>, format: PixelFormat) -> Result<(Vec<Plane>, Layout), String> {
    if data_set.get(tags::PER_FRAME_GROUPS).is_some() {
        return Ok((multiframe::planes(data_set, format)?, Layout::Multiframe));
    }
    if data_set.get(tags::MODALITY_LUT).is_some() {
        return Err("its values go through a modality lookup table, which is not applied".to_owned());
    }
    if radiograph::is_radiograph(data_set, format) {
        return Ok((vec![radiograph::plane(data_set, format)?], Layout::Projection));
    }
    if mosaic::is_mosaic(data_set) {
        let (planes, tiling) = mosaic::planes(data_set, format)?;
        return Ok((planes, Layout::Mosaic(tiling)));
    }
    let offsets = data_set.numbers(tags::GRID_FRAME_OFFSETS)?;
    if offsets.is_empty() && format.frames > 1 {
        return Err("it has several frames without a position for each".to_owned());
    }
    let plane = classic(data_set)?;
    if offsets.is_empty() {
        return Ok((vec![plane], Layout::Single));
    }
    if offsets.len() != format.frames as usize {
        return Err(format!("{} frame offsets do not fit {} frames", offsets.len(), format.frames));
    }
    let normal = cross(plane.row, plane.column);
    let at = |(frame, offset): (usize, &f64)| Plane {
        frame,
        order: [0, 0, as_order(frame)],
        ..plane.moved(add(plane.position, scale(normal, *offset)))
    };
    Ok((offsets.iter().enumerate().map(at).collect(), Layout::Single))
}

/// The plane of a file that holds one image.
pub(super) fn classic(data_set: &DataSet<'_>) -> Result<Plane, String> {
    let (row, column) = orientation(data_set)?;
    let image_type = data_set.string(tags::IMAGE_TYPE);
    let details: Vec<_> = image_type.split('\\').skip(2).map(str::trim).collect();
    let echo = data_set.number(tags::ECHO_TIME).unwrap_or_default();
    Ok(Plane {
        frame: 0,
        tile: None,
        position: vector(data_set, tags::IMAGE_POSITION, "ImagePositionPatient")?,
        row,
        column,
        spacing: spacing(data_set)?,
        thickness: data_set.number(tags::SLICE_THICKNESS).unwrap_or_default().filter(|&mm| mm > 0.0),
        between: data_set.number(tags::SPACING_BETWEEN_SLICES).unwrap_or_default().filter(|&mm| mm > 0.0),
        rescale: rescale(data_set)?,
        order: [tags::TEMPORAL_POSITION, tags::ACQUISITION_NUMBER, tags::INSTANCE_NUMBER]
            .map(|tag| data_set.integer(tag).unwrap_or(0)),
        kind: format!(
            "{}|{}|{}|{}",
            echo_name(echo),
            details.join("\\"),
            data_set.string(tags::COMPLEX_IMAGE_COMPONENT),
            data_set.string(tags::INVERSION_TIME)
        ),
        position_text: data_set.string(tags::IMAGE_POSITION),
        orientation_text: data_set.string(tags::IMAGE_ORIENTATION),
        spacing_text: data_set.string(tags::PIXEL_SPACING),
        is_oriented: true,
        notes: Vec::new(),
    })
}

pub(super) fn echo_name(echo: Option<f64>) -> String {
    echo.map_or_else(String::new, |ms| format!("{ms:.3}"))
}

pub(super) fn as_order(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(super) fn vector(data_set: &DataSet<'_>, tag: Tag, name: &str) -> Result<Vector, String> {
    match data_set.numbers(tag)?.as_slice() {
        [] => Err(format!("{name} is absent")),
        &[x, y, z] => Ok([x, y, z]),
        values => Err(format!("{name} has {} values where 3 are needed", values.len())),
    }
}

/// Row and column direction, checked to be perpendicular unit vectors.
pub(super) fn orientation(data_set: &DataSet<'_>) -> Result<(Vector, Vector), String> {
    let (row, column) = match data_set.numbers(tags::IMAGE_ORIENTATION)?.as_slice() {
        [] => return Err("ImageOrientationPatient is absent".to_owned()),
        &[a, b, c, d, e, f] => ([a, b, c], [d, e, f]),
        values => return Err(format!("ImageOrientationPatient has {} values where 6 are needed", values.len())),
    };
    let off = [length(row) - 1.0, length(column) - 1.0, dot(row, column)];
    if off.iter().any(|v| v.abs() > 0.01) {
        return Err("ImageOrientationPatient holds no perpendicular unit vectors".to_owned());
    }
    Ok((row, column))
}

/// mm between rows, between columns (PS3.3, 10.7.1.3).
pub(super) fn spacing(data_set: &DataSet<'_>) -> Result<[f64; 2], String> {
    match data_set.numbers(tags::PIXEL_SPACING)?.as_slice() {
        [] => Err("PixelSpacing is absent".to_owned()),
        &[rows, columns] if rows > 0.0 && columns > 0.0 => Ok([rows, columns]),
        values => Err(format!("PixelSpacing is {values:?}, where two positive numbers are needed")),
    }
}

/// Slope and intercept; 1 and 0 where nothing is said.
pub(super) fn rescale(data_set: &DataSet<'_>) -> Result<(f64, f64), String> {
    let slope = data_set.number(tags::RESCALE_SLOPE)?.unwrap_or(1.0);
    let intercept = data_set.number(tags::RESCALE_INTERCEPT)?.unwrap_or(0.0);
    if slope == 0.0 {
        return Err("RescaleSlope is 0".to_owned());
    }
    Ok((slope, intercept))
}

pub(super) fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(super) fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub(super) fn scale(a: Vector, by: f64) -> Vector {
    a.map(|v| v * by)
}

pub(super) fn add(a: Vector, b: Vector) -> Vector {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub(super) fn subtract(a: Vector, b: Vector) -> Vector {
    add(a, scale(b, -1.0))
}

pub(super) fn length(a: Vector) -> f64 {
    dot(a, a).sqrt()
}
