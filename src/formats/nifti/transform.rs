//! Which transform places the voxels: sform, else qform, else none, as nibabel chooses.
//!
//! Formulas: "NIfTI-1 data format", section "3D image (volume) orientation and location in space", methods 1 to 3.

use super::fields::{PIXDIM, QFORM_CODE, QOFFSET, QUATERN, Raw, SFORM_CODE, SROW, Version};
use super::header::Header;
use crate::error::{Error, Result, Warning};
use crate::formats::Form;
use crate::geometry::{Affine, Grid, Orientation};

/// Forms that put a corner further apart than this, in mm, are said to disagree.
const DISAGREE_MM: f64 = 0.01;
/// A spacing that differs from `pixdim` by more than this part is pointed out.
const SPACING_TOLERANCE: f64 = 0.01;

/// Where the voxels are and which form said so.
#[derive(Debug)]
pub(super) struct Placement {
    pub(super) grid: Grid,
    pub(super) form: Form,
}

/// The forms of a header that can be used, each `None` when its code is 0 or its values are no transform.
pub(super) struct Forms {
    pub(super) sform: Option<Affine>,
    pub(super) qform: Option<Affine>,
}

impl Forms {
    /// Reads both forms; what cannot be used although its code is set is told in `warnings`.
    pub(super) fn read(header: &Header, warnings: &mut Vec<Warning>) -> Self {
        let code = |name: &str, code: std::result::Result<nifti::XForm, _>, warnings: &mut Vec<Warning>| {
            if code.is_err() {
                let message = format!("the {name} has an unknown code and is taken as not set");
                warnings.push(Warning::new("form-code", message));
            }
            code.is_ok_and(|code| code != nifti::XForm::Unknown)
        };
        let sform_set = code("sform", header.codes.sform(), warnings);
        let qform_set = code("qform", header.codes.qform(), warnings);
        let mut usable = |name: &str, form: Result<Affine>| {
            form.map_err(|e| {
                let message = format!("the {name} cannot be used: {}", e.message());
                warnings.push(Warning::new("form-unusable", message));
            })
            .ok()
        };
        let sform = sform_set.then(|| usable("sform", sform(&header.raw))).flatten();
        let qform = qform_set.then(|| usable("qform", qform(&header.raw))).flatten();
        Self { sform, qform }
    }
}

/// Places the voxels of a header; `assumed` is the orientation that the user vouches for where the file has none.
///
/// # Errors
/// [`crate::ErrorKind::Malformed`] when a form is set but no form can be used, or a spacing is not a number;
/// [`crate::ErrorKind::Limit`] when the shape cannot be counted.
pub(super) fn place(
    header: &Header,
    shape: [usize; 3],
    assumed: Option<Orientation>,
    warnings: &mut Vec<Warning>,
) -> Result<Placement> {
    let before = warnings.len();
    let forms = Forms::read(header, warnings);
    let unusable = warnings[before..].iter().find(|warning| warning.code == "form-unusable");
    let (affine, form) = match (forms.sform, forms.qform, unusable) {
        (Some(affine), _, _) => (affine, Form::Sform),
        (None, Some(affine), _) => (affine, Form::Qform),
        (None, None, Some(warning)) => {
            return Err(Error::malformed(format!("{}, and the file has no other valid form", warning.message))
                .hint("set a valid affine, for example with nibabel's set_sform"));
        }
        (None, None, None) => (base(header, shape, assumed, warnings)?, Form::None),
    };
    let grid = Grid::new(shape, affine)?;
    match form {
        Form::Sform => {
            if let Some(qform) = forms.qform {
                warn_disagreement(&grid, &Grid::new(shape, qform)?, warnings);
            }
            warn_spacing(header, &grid, warnings);
        }
        Form::Qform => warn_replaced_spacing(header, warnings),
        Form::None | Form::Planes => (),
    }
    if let Some(assumed) = assumed.filter(|&assumed| form != Form::None && assumed != grid.orientation()) {
        let message = format!("the file itself says {}; {assumed} is not assumed", grid.orientation());
        warnings.push(Warning::new("orientation-kept", message));
    }
    Ok(Placement { grid, form })
}

/// Method 3: the rows of the affine as they stand in the header.
fn sform(raw: &Raw) -> Result<Affine> {
    let v: [f64; 12] = raw.floats(SROW);
    Affine::from_rows([[v[0], v[1], v[2], v[3]], [v[4], v[5], v[6], v[7]], [v[8], v[9], v[10], v[11]]])
}

/// Method 2: a rotation as a unit quaternion (its first part is the positive root), spacings, an offset and `qfac`.
fn qform(raw: &Raw) -> Result<Affine> {
    let [b, c, d]: [f64; 3] = raw.floats(QUATERN);
    // Rounding of the stored parts may leave less than nothing for the first one; nibabel allows the same.
    let tolerance = 3.0 * if raw.version() == Version::One { f64::from(f32::EPSILON) } else { f64::EPSILON };
    let rest = 1.0 - (b * b + c * c + d * d);
    if !rest.is_finite() {
        return Err(Error::malformed("its quaternion holds a value that is not a finite number"));
    }
    if rest < -tolerance {
        return Err(Error::malformed("its quaternion is longer than 1 and so no rotation"));
    }
    let a = if rest.abs() < tolerance { 0.0 } else { rest.sqrt() };
    let scale = 2.0 / (a * a + b * b + c * c + d * d);
    let mut columns = [
        [1.0 - scale * (c * c + d * d), scale * (b * c + a * d), scale * (b * d - a * c)],
        [scale * (b * c - a * d), 1.0 - scale * (b * b + d * d), scale * (c * d + a * b)],
        [scale * (b * d + a * c), scale * (c * d - a * b), 1.0 - scale * (b * b + c * c)],
    ];
    let mut spacing = spacing(raw);
    if raw.float(PIXDIM, 0) == -1.0 {
        spacing[2] = -spacing[2];
    }
    for (column, spacing) in columns.iter_mut().zip(spacing) {
        column.iter_mut().for_each(|v| *v *= spacing);
    }
    Affine::from_columns(columns, raw.floats(QOFFSET))
}

/// Spacings as nibabel takes them: the absolute value, and 1 for 0.
pub(super) fn spacing(raw: &Raw) -> [f64; 3] {
    [1, 2, 3].map(|axis| match raw.float(PIXDIM, axis) {
        0.0 => 1.0,
        value => value.abs(),
    })
}

/// Method 1, refined: no rotation is known; centred on 0 with x towards the left as in nibabel, or as the user vouches.
fn base(
    header: &Header,
    shape: [usize; 3],
    assumed: Option<Orientation>,
    warnings: &mut Vec<Warning>,
) -> Result<Affine> {
    warn_replaced_spacing(header, warnings);
    let message = match assumed {
        Some(assumed) => format!("the file does not say where left and right are; {assumed} is assumed as asked"),
        None => {
            "the file does not say where left and right are (no sform, no qform); LAS is a mere convention".to_owned()
        }
    };
    warnings.push(Warning::new("no-orientation", message));
    let mut spacing = spacing(&header.raw);
    spacing.iter_mut().skip(header.shape.len()).for_each(|value| *value = 1.0);
    Ok(*Grid::unplaced(shape, spacing, assumed)?.affine())
}

fn warn_replaced_spacing(header: &Header, warnings: &mut Vec<Warning>) {
    let axes = header.shape.len().min(3);
    for (axis, used) in spacing(&header.raw).into_iter().enumerate().take(axes) {
        let stored = header.raw.float(PIXDIM, axis + 1);
        if stored <= 0.0 {
            let message = format!("the header gives axis {} a spacing of {stored}; {used} is used", axis + 1);
            warnings.push(Warning::new("spacing-replaced", message));
        }
    }
}

fn warn_spacing(header: &Header, grid: &Grid, warnings: &mut Vec<Warning>) {
    let used = grid.spacing();
    let stored: [f64; 4] = header.raw.floats(PIXDIM);
    let disagrees = |axis: usize| {
        let stored = stored[axis + 1].abs();
        stored > 0.0 && (stored - used[axis]).abs() > SPACING_TOLERANCE * used[axis]
    };
    if (0..header.shape.len().min(3)).any(disagrees) {
        let message =
            format!("pixdim gives a spacing of {:?} mm, but the sform one of {used:?}, which decides", &stored[1..]);
        warnings.push(Warning::new("spacing-disagrees", message));
    }
}

fn warn_disagreement(sform: &Grid, qform: &Grid, warnings: &mut Vec<Warning>) {
    let distance = sform.corner_distance_mm(qform);
    if distance > DISAGREE_MM {
        let mirrored = sform.affine().determinant() * qform.affine().determinant() < 0.0;
        let how = if mirrored { " and mirror each other" } else { "" };
        warnings.push(Warning::new(
            "forms-disagree",
            format!(
                "sform and qform put a corner {distance:.3} mm apart{how}; the sform is used, some programs use the qform"
            ),
        ));
    }
}

/// Sets both forms to `affine` with `code`; the qform only where it can hold the affine, which it cannot when it shears.
///
/// # Errors
/// [`crate::ErrorKind::Unsupported`] when the header's numbers are too coarse for the affine.
pub(super) fn set_forms(raw: &mut Raw, grid: &Grid, code: f64) -> Result<()> {
    let affine = grid.affine();
    for (index, value) in affine.rows().as_flattened().iter().enumerate() {
        raw.set(SROW, index, *value);
    }
    raw.set(SFORM_CODE, 0, code);
    if !sform(raw).is_ok_and(|stored| grid.matches(&grid.with_affine(stored))) {
        return Err(Error::unsupported("the affine does not fit into the numbers of a NIfTI header"));
    }
    for (axis, spacing) in affine.spacing().into_iter().enumerate() {
        raw.set(PIXDIM, axis + 1, spacing);
    }
    let mut direction = affine.direction();
    raw.set(PIXDIM, 0, 1.0);
    if affine.determinant() < 0.0 {
        raw.set(PIXDIM, 0, -1.0);
        direction[2] = direction[2].map(|v| -v);
    }
    for (index, value) in quaternion(direction).into_iter().enumerate() {
        raw.set(QUATERN, index, value);
        raw.set(QOFFSET, index, affine.origin()[index]);
    }
    let fits = qform(raw).is_ok_and(|stored| grid.matches(&grid.with_affine(stored)));
    raw.set(QFORM_CODE, 0, if fits { code } else { 0.0 });
    Ok(())
}

/// The vector part of the unit quaternion, with a scalar part that is not negative, of the rotation with these columns
/// (S. W. Shepperd, "Quaternion from rotation matrix", 1978: the largest part first, which is stable everywhere).
fn quaternion(columns: [[f64; 3]; 3]) -> [f64; 3] {
    let m = |row: usize, column: usize| columns[column][row];
    let trace = m(0, 0) + m(1, 1) + m(2, 2);
    let squares = [trace, m(0, 0), m(1, 1), m(2, 2)];
    let largest = (1..4).fold(0, |best, n| if squares[n] > squares[best] { n } else { best });
    let (x, y, z) = (m(2, 1) - m(1, 2), m(0, 2) - m(2, 0), m(1, 0) - m(0, 1));
    let (xy, xz, yz) = (m(0, 1) + m(1, 0), m(0, 2) + m(2, 0), m(1, 2) + m(2, 1));
    let q = match largest {
        0 => [1.0 + trace, x, y, z],
        1 => [x, 1.0 + 2.0 * m(0, 0) - trace, xy, xz],
        2 => [y, xy, 1.0 + 2.0 * m(1, 1) - trace, yz],
        _ => [z, xz, yz, 1.0 + 2.0 * m(2, 2) - trace],
    };
    let norm = q.iter().map(|v| v * v).sum::<f64>().sqrt().copysign(if q[0] < 0.0 { -1.0 } else { 1.0 });
    [q[1] / norm, q[2] / norm, q[3] / norm]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A rotation by `angle` about `axis` (Rodrigues), as columns.
    fn rotation(axis: [f64; 3], angle: f64) -> [[f64; 3]; 3] {
        let norm = axis.iter().map(|v| v * v).sum::<f64>().sqrt();
        let [x, y, z] = axis.map(|v| v / norm);
        let (s, c) = angle.sin_cos();
        let t = 1.0 - c;
        [
            [c + x * x * t, y * x * t + z * s, z * x * t - y * s],
            [x * y * t - z * s, c + y * y * t, z * y * t + x * s],
            [x * z * t + y * s, y * z * t - x * s, c + z * z * t],
        ]
    }

    proptest! {
        /// What both forms give back is the affine that was set, half turns and left-handed axes included.
        #[test]
        fn both_forms_hold_a_rotation(
            axis in prop::array::uniform3(-1.0..1.0_f64),
            turn in prop_oneof![-3.1..3.1_f64, Just(std::f64::consts::PI), Just(0.0)],
            spacing in prop::array::uniform3(0.1..10.0_f64),
            origin in prop::array::uniform3(-300.0..300.0_f64),
            flip: bool,
        ) {
            prop_assume!(axis.iter().map(|v| v * v).sum::<f64>() > 0.01);
            let mut columns = rotation(axis, turn);
            for (column, spacing) in columns.iter_mut().zip(spacing) {
                column.iter_mut().for_each(|v| *v *= spacing);
            }
            if flip {
                columns[0] = columns[0].map(|v| -v);
            }
            let grid = Grid::new([256, 256, 180], Affine::from_columns(columns, origin).unwrap()).unwrap();
            for version in [Version::One, Version::Two] {
                let mut raw = Raw::zeros(version);
                set_forms(&mut raw, &grid, 1.0).unwrap();
                let distance = |form: Affine| grid.corner_distance_mm(&grid.with_affine(form));
                prop_assert!(distance(sform(&raw).unwrap()) < 1e-3);
                // A qform that single precision makes too coarse is left out rather than written.
                if version == Version::Two || raw.int(QFORM_CODE, 0) == 1 {
                    let limit = Grid::MATCH_TOLERANCE * spacing.into_iter().fold(f64::INFINITY, f64::min);
                    prop_assert!(distance(qform(&raw).unwrap()) <= limit.max(1e-6));
                }
            }
        }
    }

    #[test]
    fn a_shear_has_no_qform() {
        let rows = [[1.0, 0.2, 0.0, 5.0], [0.0, 1.0, 0.0, -3.0], [0.0, 0.0, 2.0, 1.0]];
        let grid = Grid::new([100, 100, 50], Affine::from_rows(rows).unwrap()).unwrap();
        let mut raw = Raw::zeros(Version::One);
        set_forms(&mut raw, &grid, 2.0).unwrap();
        assert_eq!((raw.int(SFORM_CODE, 0), raw.int(QFORM_CODE, 0)), (2, 0));
    }
}
