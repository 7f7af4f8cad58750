//! Siemens mosaics: the slices of a volume as tiles of one sheet, described by the private CSA header.
//!
//! The layout of that header is not published; it is known from `nibabel/nicom/csareader.py` and dcm2niix.

use super::data_set::DataSet;
use super::pixels::PixelFormat;
use super::plane::{self, Plane, Vector, add, cross, dot, scale};
use super::tags;

/// More tags than any CSA header has.
const MAX_TAGS: u32 = 4096;
/// Bytes of a tag's name, multiplicity, value representation, type, item count and filler.
const TAG_BYTES: usize = 84;

/// How slices lie on the sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tiling {
    /// Tiles along each side.
    pub(super) side: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Tiling {
    /// The runs of samples, as sample numbers of the sheet, that make up a tile.
    pub(super) fn runs(self, tile: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
        let (down, across) = (tile / self.side, tile % self.side);
        let width = self.columns * self.side;
        (0..self.rows).map(move |row| {
            let start = (down * self.rows + row) * width + across * self.columns;
            start..start + self.columns
        })
    }
}

/// True for a sheet of tiles.
pub(super) fn is_mosaic(data_set: &DataSet<'_>) -> bool {
    data_set.string(tags::IMAGE_TYPE).split('\\').any(|part| part.trim() == "MOSAIC")
        && data_set.string(tags::MANUFACTURER).to_ascii_uppercase().starts_with("SIEMENS")
}

/// The planes of all tiles.
///
/// The stated position is the corner of the sheet laid around the center of the first slice.
pub(super) fn planes(data_set: &DataSet<'_>, format: PixelFormat) -> Result<(Vec<Plane>, Tiling), String> {
    let header = data_set.get(tags::CSA_IMAGE_HEADER).map(|element| element.bytes).ok_or(
        "it is a mosaic whose private (CSA) header was removed: which tiles are slices, and in which order, is lost",
    )?;
    let values = |name: &str| csa_values(header, name).ok_or_else(|| format!("the CSA header has no {name}"));
    let count = values("NumberOfImagesInMosaic")?[0];
    if format.frames != 1 || !(1.0..=10_000.0).contains(&count) {
        return Err(format!("it is a mosaic of {count} slices in {} frames", format.frames));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    let count = count as usize;
    let side = (1..=count).find(|side| side * side >= count).unwrap_or(1);
    let (rows, columns) = (format.rows as usize, format.columns as usize);
    if !rows.is_multiple_of(side) || !columns.is_multiple_of(side) {
        return Err(format!("a mosaic of {columns} x {rows} samples cannot be cut into {side} x {side} tiles"));
    }
    let tiling = Tiling { side, rows: rows / side, columns: columns / side };
    let first = plane::classic(data_set)?;
    let slice_normal = values("SliceNormalVector")?;
    let &[x, y, z] = slice_normal.as_slice() else {
        return Err("SliceNormalVector of the CSA header has not three numbers".to_owned());
    };
    let normal = cross(first.row, first.column);
    let along = if dot([x, y, z], normal) < 0.0 { -1.0 } else { 1.0 };
    let distance = data_set.number(tags::SPACING_BETWEEN_SLICES)?.filter(|&mm| mm > 0.0);
    let distance = distance.ok_or("it is a mosaic without SpacingBetweenSlices")?;
    let [between_rows, between_columns] = first.spacing;
    let right = scale(first.row, between_columns * half(columns - tiling.columns));
    let down = scale(first.column, between_rows * half(rows - tiling.rows));
    let corner = add(first.position, add(right, down));
    let echo = plane::echo_name(data_set.number(tags::ECHO_TIME).unwrap_or_default());
    let [_, acquisition, instance] = first.order;
    let tile = |q: usize| -> Plane {
        let step: Vector = scale(normal, along * distance * 2.0 * half(q));
        Plane {
            tile: Some(q),
            kind: format!("{echo}|mosaic of {side} x {side}"),
            order: [0, acquisition, instance],
            ..first.moved(add(corner, step))
        }
    };
    Ok(((0..count).map(tile).collect(), tiling))
}

#[expect(clippy::cast_precision_loss, reason = "numbers of samples are far below 2^53")]
fn half(n: usize) -> f64 {
    0.5 * n as f64
}

/// The numbers of a tag of a CSA header; `None` when there are none or the header is damaged.
fn csa_values(header: &[u8], name: &str) -> Option<Vec<f64>> {
    let is_second = header.starts_with(b"SV10");
    let mut at = if is_second { 8 } else { 0 };
    let count = word(header, at)?.min(MAX_TAGS);
    at += 8;
    let mut base = None;
    for _ in 0..count {
        let tag = header.get(at..at + TAG_BYTES)?;
        at += TAG_BYTES;
        let items = word(tag, 76)?;
        let is_wanted = tag[..64].split(|&byte| byte == 0).next() == Some(name.as_bytes());
        let mut values = Vec::new();
        for _ in 0..items {
            let item = header.get(at..at + 16)?;
            at += 16;
            let len = if is_second {
                word(item, 4)?
            } else {
                // The first kind of header adds the number of items of its first tag that has any.
                word(item, 0)?.checked_sub(*base.get_or_insert(items))?
            } as usize;
            let text = header.get(at..at.checked_add(len)?)?;
            at = (at + len).next_multiple_of(4);
            if is_wanted && len > 0 {
                let text = std::str::from_utf8(text.split(|&byte| byte == 0).next()?).ok()?;
                values.extend(text.trim().parse::<f64>().ok().filter(|value| value.is_finite()));
            }
        }
        if is_wanted {
            return (!values.is_empty()).then_some(values);
        }
    }
    None
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(bytes.iter().rev().fold(0, |v, &b| v << 8 | u32::from(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A CSA header of the first or second kind with the values of two tags, each followed by an empty item.
    fn header(is_second: bool) -> Vec<u8> {
        let mut out = if is_second { b"SV10\x04\x03\x02\x01".to_vec() } else { Vec::new() };
        let tags: [(&str, &[&str]); 3] =
            [("Empty", &[]), ("NumberOfImagesInMosaic", &["35"]), ("SliceNormalVector", &["0.5", "-0.25 ", "1"])];
        out.extend([3_u32, 77].iter().flat_map(|word| word.to_le_bytes()));
        for (name, values) in tags {
            let mut field = name.as_bytes().to_vec();
            field.resize(64, 0);
            out.extend(field);
            let items = if values.is_empty() { 0 } else { 6_u32 };
            out.extend([1, 0, 0, items, 77].iter().flat_map(|word: &u32| word.to_le_bytes()));
            for n in 0..items as usize {
                let text = values.get(n).copied().unwrap_or_default();
                let len = u32::try_from(text.len()).unwrap();
                let words = if is_second { [0, len, 77, len] } else { [len + 6, len, 77, len] };
                out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
                out.extend(text.as_bytes());
                out.resize(out.len().next_multiple_of(4), 0);
            }
        }
        out
    }

    #[test]
    fn both_kinds_of_csa_header_are_read_and_cuts_are_survived() {
        for is_second in [true, false] {
            let bytes = header(is_second);
            assert_eq!(csa_values(&bytes, "NumberOfImagesInMosaic"), Some(vec![35.0]));
            assert_eq!(csa_values(&bytes, "SliceNormalVector"), Some(vec![0.5, -0.25, 1.0]));
            assert_eq!(csa_values(&bytes, "Empty"), None);
            for len in 0..bytes.len() - 64 {
                assert_eq!(csa_values(&bytes[..len], "SliceNormalVector"), None, "{len}");
            }
        }
    }

    #[test]
    fn tiles_are_cut_row_by_row() {
        let tiling = Tiling { side: 2, rows: 2, columns: 3 };
        assert_eq!(tiling.runs(3).collect::<Vec<_>>(), [15..18, 21..24]);
    }
}
