//! Label ids as pictures: plain grey values, 8 bits or 16 where an id needs them.

use std::io::{Cursor, Write};
use std::path::Path;

use tiff::TiffResult;
use tiff::encoder::colortype::{ColorType, Gray8, Gray16};
use tiff::encoder::{Compression, DeflateLevel, TiffEncoder, TiffValue};

use crate::error::{Error, Result};
use crate::fs::{self, Overwrite};
use crate::volume::LabelMap;

/// Suffixes of TIFF files and of PNG files.
const TIFF: [&str; 2] = [".tif", ".tiff"];
const PNG: &str = ".png";

/// True for a name that asks for a picture.
pub(crate) fn is_picture(path: &Path) -> bool {
    let name = path.to_string_lossy().to_ascii_lowercase();
    name.ends_with(PNG) || TIFF.iter().any(|suffix| name.ends_with(suffix))
}

/// Writes a PNG of one slice, or a TIFF with a page for each.
///
/// # Errors
/// [`crate::ErrorKind::Usage`] for a PNG of several slices and an existing file; [`crate::ErrorKind::Output`] when the
/// file cannot be written.
pub(crate) fn write_labels(path: &Path, labels: &LabelMap, overwrite: Overwrite) -> Result<()> {
    let [columns, rows, depth] = labels.grid().shape();
    let ids = labels.ids.data();
    let failed =
        |what: &dyn std::fmt::Display| Error::internal(format!("the picture cannot be encoded: {what}")).at(path);
    let side = |n: usize| u32::try_from(n).map_err(|_| failed(&"it is too large"));
    let (columns, rows) = (side(columns)?, side(rows)?);
    let is_wide = labels.max_id() > u16::from(u8::MAX);
    let bytes = if path.to_string_lossy().to_ascii_lowercase().ends_with(PNG) {
        if depth > 1 {
            return Err(Error::usage(format!("a PNG holds one slice, the labels have {depth}"))
                .at(path)
                .hint("name a .tif, which has a page for each slice"));
        }
        png(ids, columns, rows, is_wide).map_err(|e| failed(&e))?
    } else if is_wide {
        tiff::<Gray16>(ids, columns, rows, |id| id).map_err(|e| failed(&e))?
    } else {
        tiff::<Gray8>(ids, columns, rows, |id| id.to_le_bytes()[0]).map_err(|e| failed(&e))?
    };
    fs::write_bytes(path, overwrite, &bytes)
}

fn png(ids: &[u16], columns: u32, rows: u32, is_wide: bool) -> std::result::Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, columns, rows);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(if is_wide { png::BitDepth::Sixteen } else { png::BitDepth::Eight });
    let samples: Vec<u8> = if is_wide {
        ids.iter().flat_map(|id| id.to_be_bytes()).collect()
    } else {
        ids.iter().map(|id| id.to_le_bytes()[0]).collect()
    };
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&samples)?;
    writer.finish()?;
    Ok(bytes)
}

fn tiff<C: ColorType>(ids: &[u16], columns: u32, rows: u32, sample: impl Fn(u16) -> C::Inner) -> TiffResult<Vec<u8>>
where
    [C::Inner]: TiffValue,
{
    let mut out = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut out)?.with_compression(Compression::Deflate(DeflateLevel::Balanced));
    for page in ids.chunks(columns as usize * rows as usize) {
        let samples: Vec<_> = page.iter().map(|&id| sample(id)).collect();
        encoder.write_image::<C>(columns, rows, &samples)?;
    }
    out.flush()?;
    Ok(out.into_inner())
}
