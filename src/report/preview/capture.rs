//! Pictures of every slice as it is stored, with the labels in color, and one with their names and volumes.

use super::canvas::{Canvas, Rgb, fitted, mix};
use super::legend::Legend;
use super::overlay::byte;
use super::planes::{Tally, window};
use super::{BACKGROUND, BORDER, DIM, LETTER, LINE, SIZE, TEXT};
use crate::error::{Error, Result};
use crate::volume::{LabelMap, Volume};

/// What every picture says.
const NOTICE: &str = "For research only";
/// Height of its capitals in pixels, and the fewest columns of a picture that has room for it.
const NOTICE_SIZE: f32 = 7.0;
const NOTICE_WIDTH: usize = 128;
/// Percentiles of the voxels that become black and white where no window is given.
const PERCENTILES: [f64; 2] = [0.5, 99.5];
/// Voxels that they are taken from, at most.
const SAMPLED: usize = 1 << 20;
/// Columns of the picture with names and volumes, and the labels that it has room for.
const LEGEND_WIDTH: usize = 768;
const LEGEND_LABELS: usize = 256;

/// How slices become pictures.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CaptureOptions {
    /// Values of the scan that become black and white; percentiles of its voxels where `None`.
    pub window: Option<[f64; 2]>,
    /// True where low values are meant to be shown bright.
    pub inverted: bool,
    /// How much of a label's color covers the scan, 0 to 1; outlines are drawn more strongly.
    pub opacity: f32,
}

impl Default for CaptureOptions {
    fn default() -> Self {
        Self { window: None, inverted: false, opacity: 0.3 }
    }
}

/// Rows of RGB pixels, the top one first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RgbPicture {
    /// Columns and rows.
    pub size: [usize; 2],
    /// Red, green and blue of each pixel.
    pub rgb: Vec<u8>,
}

impl From<Canvas> for RgbPicture {
    fn from(canvas: Canvas) -> Self {
        Self { size: [canvas.width, canvas.height], rgb: canvas.pixels }
    }
}

/// A scan with its labels, of which pictures are made.
pub struct Captures<'a> {
    image: &'a Volume<f32>,
    labels: &'a LabelMap,
    tally: Tally,
    colors: Vec<Rgb>,
    window: [f32; 2],
    opacity: f32,
}

impl std::fmt::Debug for Captures<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Captures")
            .field("grid", self.image.grid())
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

impl<'a> Captures<'a> {
    /// Pictures of `image` with `labels`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] when the labels are not on the image's grid.
    pub fn new(image: &'a Volume<f32>, labels: &'a LabelMap, options: &CaptureOptions) -> Result<Self> {
        if !image.grid().matches(labels.grid()) {
            return Err(Error::usage("a picture needs labels on the grid of its image"));
        }
        let tally = Tally::of(labels);
        let colors = (0..=u16::MAX).take(tally.voxels.len()).map(|id| labels.table.rgb(id)).collect();
        let every = image.data().len().div_ceil(SAMPLED).max(1);
        let found = || window(image.data().iter().step_by(every), PERCENTILES);
        #[expect(clippy::cast_possible_truncation, reason = "samples are f32 too")]
        let asked = options.window.map(|window| window.map(|value| value as f32));
        let [black, white] = asked.filter(|[black, white]| black < white).unwrap_or_else(found);
        let window = if options.inverted { [white, black] } else { [black, white] };
        Ok(Self { image, labels, tally, colors, window, opacity: options.opacity.clamp(0.0, 1.0) })
    }

    /// Slice `k` in its stored columns and rows: the scan in gray, labels in color with outlines.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] when there is no such slice; [`crate::ErrorKind::Limit`] when memory cannot be had.
    pub fn slice(&self, k: usize) -> Result<RgbPicture> {
        let [width, height, depth] = self.image.grid().shape();
        if k >= depth {
            return Err(Error::usage(format!("there is no slice {k}: there are {depth}, from 0")));
        }
        let plane = k * width * height..(k + 1) * width * height;
        let (values, ids) = (&self.image.data()[plane.clone()], &self.labels.ids.data()[plane]);
        let mut canvas = Canvas::new(width, height, [0; 3])?;
        let [black, white] = self.window;
        for (at, pixel) in canvas.pixels.chunks_exact_mut(3).enumerate() {
            pixel.fill(byte((values[at] - black) / (white - black)));
            let id = ids[at];
            if id != 0 {
                let (i, j) = (at % width, at / width);
                let is_edge = (i > 0 && ids[at - 1] != id)
                    || (i + 1 < width && ids[at + 1] != id)
                    || (j > 0 && ids[at - width] != id)
                    || (j + 1 < height && ids[at + width] != id);
                mix(pixel, self.colors[usize::from(id)], if is_edge { self.opacity.sqrt() } else { self.opacity });
            }
        }
        if width >= NOTICE_WIDTH {
            canvas.text([4.0, height as f32 - NOTICE_SIZE - 5.0], NOTICE_SIZE, LETTER, NOTICE);
        }
        Ok(canvas.into())
    }

    /// Names, colors and volumes of the labels that occur, under `title`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Limit`] when memory cannot be had.
    pub fn legend(&self, title: &str) -> Result<RgbPicture> {
        let inner = LEGEND_WIDTH - 2 * BORDER;
        let legend = Legend::new(self.labels, &self.tally, LEGEND_LABELS, inner);
        let top = BORDER + 4 * LINE;
        let mut canvas = Canvas::new(LEGEND_WIDTH, top + legend.height() + BORDER, BACKGROUND)?;
        let lines = [
            (1.35 * SIZE, TEXT, title),
            (1.35 * SIZE, LETTER, NOTICE),
            (SIZE, DIM, "labels found by a program, with their volumes; not checked by a person"),
        ];
        for (n, (size, color, text)) in lines.into_iter().enumerate() {
            let place = [BORDER as f32, (BORDER + n * LINE) as f32 - 8.0];
            canvas.text(place, size, color, &fitted(text, size, inner));
        }
        legend.draw(&mut canvas, [BORDER, top], &self.labels.table);
        Ok(canvas.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Affine, Grid};
    use crate::volume::{Label, LabelTable};

    #[test]
    fn slices_are_gray_with_colored_labels_in_stored_order() {
        let grid = Grid::new([5, 4, 2], Affine::from_spacing([1.0; 3], [0.0; 3]).unwrap()).unwrap();
        let mut ids = Volume::<u16>::zeros(grid).unwrap();
        for i in 0..3 {
            (0..3).for_each(|j| ids.view_mut()[[i, j, 1]] = 4);
        }
        let red = Label { id: 4, name: "Red".to_owned(), rgb: [255, 0, 0], code: None };
        let labels = LabelMap::new(ids, LabelTable::new(vec![red]).unwrap());
        let image = Volume::new(grid, (0_u8..40).map(|n| f32::from(n % 20)).collect()).unwrap();
        let mut options = CaptureOptions { window: Some([0.0, 20.0]), ..Default::default() };
        let captures = Captures::new(&image, &labels, &options).unwrap();
        let picture = captures.slice(1).unwrap();
        assert_eq!((picture.size, picture.rgb.len()), ([5, 4], 60));
        let pixel = |picture: &RgbPicture, i: usize, j: usize| {
            <[u8; 3]>::try_from(&picture.rgb[15 * j + 3 * i..][..3]).unwrap()
        };
        assert_eq!(pixel(&picture, 3, 2), [166; 3], "13 of 20");
        let (edge, inner) = (pixel(&picture, 2, 1), pixel(&picture, 1, 1));
        assert!(edge[0] > inner[0] && inner[0] > inner[1] && inner[1] == inner[2] && inner[1] < 77);
        assert_eq!(captures.slice(0).unwrap().rgb[..9], [0, 0, 0, 13, 13, 13, 26, 26, 26]);
        assert!(captures.slice(2).is_err());
        options.inverted = true;
        assert_eq!(Captures::new(&image, &labels, &options).unwrap().slice(0).unwrap().rgb[..3], [255; 3]);
        let legend = captures.legend("unet-vol").unwrap();
        assert!(legend.rgb.chunks_exact(3).any(|pixel| pixel == [255, 0, 0]));
        assert_eq!(legend.rgb.len(), 3 * legend.size[0] * legend.size[1]);
    }
}
