//! Names, colors and volumes of the labels that occur, in columns.

use super::canvas::{Canvas, fitted, text_width};
use super::planes::Tally;
use super::{DIM, LINE, SIZE, TEXT};
use crate::volume::{LabelMap, LabelTable};

/// Side of a color's square.
const SWATCH: usize = 14;
/// Pixels between a color, its name and its volume.
const SPACE: usize = 10;
/// Pixels between columns.
const APART: usize = 44;

/// The lines of a legend and how they are laid out.
pub(super) struct Legend {
    /// Id (0 for a line without a color), name and volume.
    entries: Vec<(u16, String, String)>,
    /// Pixels from one column to the next.
    column: usize,
    /// Lines in a column.
    rows: usize,
}

impl Legend {
    /// At most `most` labels in `width` pixels.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a width in pixels, at most the picture's"
    )]
    pub(super) fn new(labels: &LabelMap, tally: &Tally, most: usize, width: usize) -> Self {
        let ml = labels.grid().voxel_mm3() / 1000.0;
        let present = (1..=u16::MAX).zip(tally.voxels.iter().skip(1)).filter(|(_, voxels)| **voxels > 0);
        let mut entries: Vec<_> =
            present.map(|(id, &voxels)| (id, labels.table.name(id), milliliters(voxels as f64 * ml))).collect();
        let more = entries.len().saturating_sub(most.max(1));
        if more > 0 {
            entries.truncate(most.max(1));
            entries.push((0, format!("and {more} more"), String::new()));
        }
        if entries.is_empty() {
            entries.push((0, "no label".to_owned(), String::new()));
        }
        let widest = entries.iter().map(|e| text_width(SIZE, &e.1) + text_width(SIZE, &e.2)).fold(0.0, f32::max);
        let needed = widest.min(width as f32).ceil() as usize + SWATCH + 2 * SPACE + APART;
        let columns = ((width + APART) / needed).max(1);
        Self { column: (width + APART) / columns, rows: entries.len().div_ceil(columns), entries }
    }

    pub(super) fn height(&self) -> usize {
        self.rows * LINE
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a width in pixels")]
    pub(super) fn draw(&self, canvas: &mut Canvas, [left, top]: [usize; 2], table: &LabelTable) {
        for (number, (id, name, volume)) in self.entries.iter().enumerate() {
            let [x, y] = [left + number / self.rows * self.column, top + number % self.rows * LINE];
            let mut name_left = x;
            if *id != 0 {
                canvas.fill([x, y - 1], [SWATCH, SWATCH], table.rgb(*id));
                name_left += SWATCH + SPACE;
            }
            let volume_left = (x + self.column - APART) as f32 - text_width(SIZE, volume);
            let room = (volume_left - (name_left + SPACE) as f32).max(0.0) as usize;
            canvas.text([name_left as f32, y as f32], SIZE, TEXT, &fitted(name, SIZE, room));
            canvas.text([volume_left, y as f32], SIZE, DIM, volume);
        }
    }
}

/// A volume with about three digits.
fn milliliters(ml: f64) -> String {
    match ml {
        ml if ml >= 100.0 => format!("{ml:.0} ml"),
        ml if ml >= 10.0 => format!("{ml:.1} ml"),
        ml => format!("{ml:.2} ml"),
    }
}
