//! One picture of a result: three planes through the labels, in color over the scan.

mod canvas;
mod capture;
mod font;
mod legend;
mod overlay;
mod planes;

use std::io::Write;
use std::path::Path;

pub use self::capture::{CaptureOptions, Captures, RgbPicture};

use self::canvas::{Canvas, Rgb, fitted, text_width};
use self::legend::Legend;
use self::overlay::{Look, paint};
use self::planes::{Kind, Plane, Stack, Tally, window};
use crate::error::{Error, Result};
use crate::fs::{self, Overwrite};
use crate::geometry::Grid;
use crate::volume::{LabelMap, Volume};

const BACKGROUND: Rgb = [20, 22, 27];
const TEXT: Rgb = [222, 226, 232];
const DIM: Rgb = [139, 147, 160];
const LETTER: Rgb = [255, 206, 92];

/// Pixels around everything; orientation letters of the outer panels stand there.
const BORDER: usize = 36;
/// Pixels between panels, where the letters of both sides stand.
const APART: usize = 68;
/// Height of capitals in pixels.
const SIZE: f32 = 11.0;
/// Pixels from one line of text to the next.
const LINE: usize = 24;

/// Which way round a plane is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Convention {
    /// Seen from the feet or the face: the patient's right is on the left of the picture.
    #[default]
    Radiological,
    /// Seen from above or behind: the patient's right is on the right of the picture.
    Neurological,
}

/// How the picture looks.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PreviewOptions {
    /// Width of the picture in pixels, 400 to 8192; the height follows.
    pub width: usize,
    /// Most pixels of a panel's height.
    pub panel_height: usize,
    /// Where the planes cross, in mm; the labels' centroid where `None`.
    pub crossing_mm: Option<[f64; 3]>,
    /// Which way round planes are shown.
    pub convention: Convention,
    /// Percentiles of the voxels shown that become black and white.
    pub percentiles: [f64; 2],
    /// How much of a label's color covers the scan, 0 to 1; outlines are drawn more strongly.
    pub opacity: f32,
    /// First line; empty for none.
    pub title: String,
    /// Most labels in the legend; the rest is counted.
    pub legend: usize,
}

impl Default for PreviewOptions {
    fn default() -> Self {
        Self {
            width: 1500,
            panel_height: 620,
            crossing_mm: None,
            convention: Convention::Radiological,
            percentiles: [0.5, 99.5],
            opacity: 0.42,
            title: String::new(),
            legend: 48,
        }
    }
}

/// A PNG with the axial, coronal and sagittal plane through the labels' centroid (the middle of a volume without labels).
///
/// Planes lie along the volume's nearest axes and are drawn to scale in mm, the same for all; a volume of one slice is one
/// panel. Letters at the sides say where the patient's Right, Left, Anterior, Posterior, Superior and Inferior are. The
/// picture does not depend on the order in which the voxels are stored.
///
/// # Errors
/// [`crate::ErrorKind::Usage`] when the labels are not on the image's grid; [`crate::ErrorKind::Limit`] when memory cannot
/// be had.
pub fn preview(image: &Volume<f32>, labels: &LabelMap, options: &PreviewOptions) -> Result<Vec<u8>> {
    if !image.grid().matches(labels.grid()) {
        return Err(Error::usage("a picture needs labels on the grid of its image"));
    }
    let tally = Tally::of(labels);
    let stack = Stack::new(image, labels);
    let crossing = match options.crossing_mm {
        Some(world) => stack.nearest(image.grid().world_to_index(world)),
        None => stack.crossing(&tally),
    };
    let flat =
        |kind: &Kind| [kind.horizontal(options.convention).0, kind.vertical()].iter().any(|&a| stack.shape[a] == 1);
    let mut kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| !flat(kind)).collect();
    if kinds.is_empty() {
        kinds.push(Kind::Axial);
    }
    let plane = |kind: Kind| stack.plane(kind, crossing[kind.across()], options.convention);
    let planes = kinds.into_iter().map(plane).collect::<Result<Vec<_>>>()?;
    let world = image.grid().index_to_world(stack.stored(crossing).map(|n| n as f64));
    let picture = Picture { planes, world, labels, tally, options, grid: image.grid() };
    picture.draw()?.png()
}

/// Writes a picture's bytes to a file, in one step.
///
/// # Errors
/// [`crate::ErrorKind::Usage`] when the file exists and must not be replaced; [`crate::ErrorKind::Output`] when it cannot
/// be written.
pub fn write_preview(path: &Path, overwrite: Overwrite, png: &[u8]) -> Result<()> {
    fs::write_atomic(path, overwrite, |writer| writer.write_all(png).map_err(|error| fs::unwritable(path, error)))
}

/// Everything that is drawn.
struct Picture<'a> {
    planes: Vec<Plane>,
    /// Where the planes cross, in mm.
    world: [f64; 3],
    labels: &'a LabelMap,
    tally: Tally,
    options: &'a PreviewOptions,
    grid: &'a Grid,
}

impl Picture<'_> {
    fn draw(&self) -> Result<Canvas> {
        let width = self.options.width.clamp(400, 8192);
        let inner = width - 2 * BORDER;
        let (scale, panels) = self.panels(inner);
        let tallest = panels.iter().map(|panel| panel[1]).max().unwrap_or(0);
        let legend = Legend::new(self.labels, &self.tally, self.options.legend, inner);
        let top = BORDER + LINE + if self.options.title.is_empty() { 0 } else { LINE + 8 };
        let below = top + tallest + BORDER + LINE;
        let mut canvas = Canvas::new(width, below + LINE + legend.height() + BORDER, BACKGROUND)?;
        let title = fitted(&self.options.title, 1.35 * SIZE, inner);
        canvas.text([BORDER as f32, BORDER as f32 - 8.0], 1.35 * SIZE, TEXT, &title);

        let look = Look {
            window: window(self.planes.iter().flat_map(|plane| &plane.values), self.options.percentiles),
            colors: (0..=u16::MAX).take(self.tally.voxels.len()).map(|id| self.labels.table.rgb(id)).collect(),
            opacity: self.options.opacity.clamp(0.0, 1.0),
        };
        let used = panels.iter().map(|panel| panel[0]).sum::<usize>() + APART * (panels.len() - 1);
        let mut x = BORDER + inner.saturating_sub(used) / 2;
        for (plane, size) in self.planes.iter().zip(panels) {
            let at = [x, top + (tallest - size[1]) / 2];
            paint(&mut canvas, plane, at, size, &look)?;
            self.annotate(&mut canvas, plane, at, size);
            x += size[0] + APART;
        }
        let bar = scale_bar(&mut canvas, [width - BORDER, below], scale);
        let caption = fitted(&self.caption(), SIZE, inner.saturating_sub(bar + APART));
        canvas.text([BORDER as f32, below as f32], SIZE, DIM, &caption);
        legend.draw(&mut canvas, [BORDER, below + LINE + 8], &self.labels.table);
        Ok(canvas)
    }

    /// Pixels per mm, one scale for all panels and as large as fits, and the panels' width and height in pixels.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the picture's size")]
    fn panels(&self, width: usize) -> (f64, Vec<[usize; 2]>) {
        let extents: Vec<_> = self.planes.iter().map(Plane::extent).collect();
        let room = (width - APART * (extents.len() - 1)) as f64;
        let high = self.options.panel_height.clamp(50, 8192) as f64;
        let wide: f64 = extents.iter().map(|e| e[0]).sum();
        let tall = extents.iter().map(|e| e[1]).fold(0.0, f64::max);
        let scale = (room / wide).min(high / tall);
        (scale, extents.iter().map(|e| e.map(|mm| ((mm * scale) as usize).clamp(1, 8192))).collect())
    }

    /// The letters around a panel and what it shows.
    fn annotate(&self, canvas: &mut Canvas, plane: &Plane, at: [usize; 2], size: [usize; 2]) {
        let [x, y, w, h] = [at[0], at[1], size[0], size[1]].map(|n| n as f32);
        let half = 0.5 * SIZE;
        let mut letter = |center: [f32; 2], letter: char| {
            let text = letter.to_string();
            let wide = text_width(SIZE, &text);
            canvas.text([center[0] - 0.5 * wide, center[1] - half], SIZE, LETTER, &text);
        };
        let away = SIZE + 4.0;
        letter([x - away, y + 0.5 * h], plane.left);
        letter([x + w + away, y + 0.5 * h], plane.right);
        letter([x + 0.5 * w, y - away], plane.top);
        letter([x + 0.5 * w, y + h + away], plane.bottom);
        let axis = plane.kind.across();
        // Adding 0 turns -0.0 into 0.0.
        let mm = (self.world[axis] * 10.0).round() / 10.0 + 0.0;
        let text = format!("{}  {} = {mm:.1} mm", plane.kind.name(), ["x", "y", "z"][axis]);
        let room = (size[0] / 2).saturating_sub(20);
        let text = if text_width(SIZE, &text) <= room as f32 { text } else { fitted(plane.kind.name(), SIZE, room) };
        canvas.text([x, y - away - half], SIZE, DIM, &text);
    }

    /// The line under the panels.
    fn caption(&self) -> String {
        let convention = match self.options.convention {
            Convention::Radiological => "radiological: the patient's right is on the left",
            Convention::Neurological => "neurological: the patient's right is on the right",
        };
        let degrees = obliquity_degrees(self.grid);
        let oblique = if degrees < 0.5 {
            String::new()
        } else {
            format!("; nearest axes of an oblique grid ({degrees:.0} degrees)")
        };
        format!("{convention}{oblique}")
    }
}

/// Largest angle in degrees between an axis of the grid and the world axis that it is shown along.
fn obliquity_degrees(grid: &Grid) -> f64 {
    let directions = grid.orientation().directions();
    let columns = grid.affine().direction();
    let angle = |axis: usize| columns[axis][directions[axis].world_axis()].abs().min(1.0).acos().to_degrees();
    (0..3).map(angle).fold(0.0, f64::max)
}

/// A bar of a round number of mm that ends at `right`, `y`; gives back the pixels that it takes.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bar of at most 120 pixels")]
fn scale_bar(canvas: &mut Canvas, [right, y]: [usize; 2], scale: f64) -> usize {
    let most = 120.0 / scale;
    let power = 10_f64.powf(most.log10().floor());
    let mm = [5.0, 2.0, 1.0].map(|n| n * power).into_iter().find(|&mm| mm <= most).unwrap_or(power);
    let length = ((mm * scale) as usize).clamp(1, 120);
    let text = format!("{} mm", (mm * 1e6).round() / 1e6);
    let wide = text_width(SIZE, &text).ceil() as usize + 10;
    canvas.text([(right - wide - length) as f32, y as f32], SIZE, DIM, &text);
    canvas.fill([right - length, y + 4], [length, 3], DIM);
    wide + length
}
