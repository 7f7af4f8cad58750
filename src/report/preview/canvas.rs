//! An RGB picture to draw on, and its PNG.

use super::font;
use crate::error::{Error, Result};
use crate::limits;

pub(super) type Rgb = [u8; 3];

/// Rows of RGB pixels, the top one first.
pub(super) struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) pixels: Vec<u8>,
}

impl Canvas {
    pub(super) fn new(width: usize, height: usize, color: Rgb) -> Result<Self> {
        let mut pixels = limits::reserved(width * height * 3, "a picture")?;
        pixels.resize(width * height * 3, 0);
        pixels.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&color));
        Ok(Self { width, height, pixels })
    }

    /// Mixes a color into a pixel; outside the picture nothing happens.
    fn mix(&mut self, x: usize, y: usize, color: Rgb, part: f32) {
        if x < self.width && y < self.height {
            let at = 3 * (y * self.width + x);
            mix(&mut self.pixels[at..at + 3], color, part);
        }
    }

    /// A filled rectangle.
    pub(super) fn fill(&mut self, [x, y]: [usize; 2], [width, height]: [usize; 2], color: Rgb) {
        for row in y..y + height {
            (x..x + width).for_each(|column| self.mix(column, row, color, 1.0));
        }
    }

    /// Text whose capitals are `size` pixels high; `x`, `y` is their top left.
    pub(super) fn text(&mut self, [x, y]: [f32; 2], size: f32, color: Rgb, text: &str) {
        let scale = size / font::CAPITAL;
        let radius = (0.075 * size).max(0.62);
        let place = |p: [f32; 2]| [x + p[0] * scale, y + p[1] * scale];
        font::strokes(text, |a, b| self.stroke(place(a), place(b), radius, color));
    }

    /// A line with round ends and smooth edges.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped at 0; far below 2^24")]
    fn stroke(&mut self, a: [f32; 2], b: [f32; 2], radius: f32, color: Rgb) {
        let reach = radius + 1.0;
        let span = |axis: usize| {
            let (low, high) = (a[axis].min(b[axis]), a[axis].max(b[axis]));
            ((low - reach).floor().max(0.0) as usize)..((high + reach).ceil().max(0.0) as usize)
        };
        let d = [b[0] - a[0], b[1] - a[1]];
        let length = (d[0] * d[0] + d[1] * d[1]).max(1e-12);
        for y in span(1) {
            for x in span(0) {
                let p = [x as f32 + 0.5 - a[0], y as f32 + 0.5 - a[1]];
                let along = ((p[0] * d[0] + p[1] * d[1]) / length).clamp(0.0, 1.0);
                let distance = (p[0] - along * d[0]).hypot(p[1] - along * d[1]);
                self.mix(x, y, color, (radius + 0.5 - distance).clamp(0.0, 1.0));
            }
        }
    }

    /// The picture as a PNG file.
    pub(super) fn png(&self) -> Result<Vec<u8>> {
        let side = |n: usize| u32::try_from(n).map_err(|_| Error::internal("the picture is too large"));
        let failed = |error: png::EncodingError| Error::internal("the picture cannot be encoded").because(error);
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, side(self.width)?, side(self.height)?);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Fast);
        let mut writer = encoder.write_header().map_err(failed)?;
        writer.write_image_data(&self.pixels).map_err(failed)?;
        writer.finish().map_err(failed)?;
        Ok(bytes)
    }
}

/// Mixes `part` (0..=1) of a color into a pixel.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean of bytes is a byte")]
pub(super) fn mix(pixel: &mut [u8], color: Rgb, part: f32) {
    for (value, new) in pixel.iter_mut().zip(color) {
        let old = f32::from(*value);
        *value = (old + (f32::from(new) - old) * part + 0.5) as u8;
    }
}

/// Width in pixels of a text whose capitals are `size` pixels high.
pub(super) fn text_width(size: f32, text: &str) -> f32 {
    font::width(text) * size / font::CAPITAL
}

/// The text, cut to fit into a width in pixels.
pub(super) fn fitted(text: &str, size: f32, width: usize) -> String {
    let fits = |text: &str| text_width(size, text) <= width as f32;
    if fits(text) {
        return text.to_owned();
    }
    // No glyph is narrower than a pixel, so more characters than pixels cannot fit.
    let mut cut: String = text.chars().take(width).collect();
    while cut.pop().is_some() {
        let shortened = format!("{}...", cut.trim_end());
        if fits(&shortened) {
            return shortened;
        }
    }
    String::new()
}
