//! The picture of a result, through the public API: decoded again and measured.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use unet_vol::geometry::Direction;
use unet_vol::report::{Convention, PreviewOptions, preview, write_preview};
use unet_vol::volume::{Label, LabelTable};
use unet_vol::{Affine, ErrorKind, Grid, LabelMap, Orientation, Overwrite, Volume};

const RED: [u8; 3] = [255, 0, 0];

struct Decoded {
    width: usize,
    pixels: Vec<u8>,
}

impl Decoded {
    fn of(bytes: &[u8]) -> Self {
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.color_type, info.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
        Self { width: usize::try_from(info.width).unwrap(), pixels }
    }

    /// Boxes `[left, top, right, bottom]` around the columns of pixels that `wanted` holds for, from left to right.
    fn boxes(&self, wanted: impl Fn(&[u8]) -> bool) -> Vec<[usize; 4]> {
        let mut boxes: Vec<[usize; 4]> = Vec::new();
        for x in 0..self.width {
            let rows = self.pixels.chunks_exact(3 * self.width).enumerate();
            let hits: Vec<usize> = rows.filter(|(_, row)| wanted(&row[3 * x..3 * x + 3])).map(|(y, _)| y).collect();
            let (Some(&top), Some(&bottom)) = (hits.first(), hits.last()) else { continue };
            match boxes.last_mut().filter(|b| b[2] + 1 == x) {
                Some(b) => *b = [b[0], b[1].min(top), x, b[3].max(bottom)],
                None => boxes.push([x, top, x, bottom]),
            }
        }
        boxes
    }

    /// The panels of a black scan.
    fn panels(&self) -> Vec<[usize; 4]> {
        self.boxes(|p| p == [0, 0, 0] || p == RED)
    }
}

fn study(
    shape: [usize; 3],
    spacing: [f64; 3],
    value: impl Fn(usize) -> f32,
    labeled: &[[usize; 3]],
) -> (Volume, LabelMap) {
    let grid = Grid::new(shape, Affine::from_spacing(spacing, [-20.5, 3.0, 11.0]).unwrap()).unwrap();
    let image = Volume::new(grid, (0..grid.voxels()).map(value).collect()).unwrap();
    let mut ids = Volume::<u16>::zeros(grid).unwrap();
    labeled.iter().for_each(|&[i, j, k]| ids.view_mut()[[i, j, k]] = 7);
    let table = LabelTable::new(vec![Label { id: 7, name: "spot".to_owned(), rgb: RED, code: None }]).unwrap();
    (image, LabelMap::new(ids, table))
}

fn opaque() -> PreviewOptions {
    let mut options = PreviewOptions::default();
    (options.width, options.opacity) = (700, 1.0);
    options
}

#[test]
fn the_patients_left_is_on_the_documented_side() {
    let (image, labels) = study([20; 3], [1.0; 3], |_| 0.0, &[[2, 10, 10], [3, 10, 10]]);
    for (convention, on_the_right) in [(Convention::Radiological, true), (Convention::Neurological, false)] {
        let mut options = opaque();
        options.convention = convention;
        let picture = Decoded::of(&preview(&image, &labels, &options).unwrap());
        let panels = picture.panels();
        assert_eq!(panels.len(), 3);
        let bottom = panels[1][3];
        let spots = picture.boxes(|p| p == RED);
        for panel in &panels[..2] {
            let inside = |s: &&[usize; 4]| panel[0] <= s[0] && s[2] <= panel[2] && s[3] <= bottom;
            let spot = spots.iter().find(inside).unwrap();
            assert_eq!(spot[0] > (panel[0] + panel[2]) / 2, on_the_right, "{convention:?}: {spot:?} in {panel:?}");
        }
    }
}

#[test]
fn the_order_of_storage_does_not_change_a_byte() {
    let texture = |n: usize| ((n * 7919 % 4001) as f32).sqrt();
    let labeled: Vec<_> = (0..90).map(|n| [3 + n % 5, 2 + n / 5 % 3, 4 + n / 20]).collect();
    for spacing in [[1.0; 3], [0.7, 1.3, 2.5]] {
        let (image, labels) = study([14, 17, 11], spacing, texture, &labeled);
        let wanted = preview(&image, &labels, &opaque()).unwrap();
        let mut seen = 0;
        for axes in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            for signs in 0..8 {
                let to = [0, 1, 2].map(|n| Direction::from_world(axes[n], signs >> n & 1 == 1));
                let to = Orientation::new(to).unwrap();
                let labels = LabelMap::new(labels.ids.reoriented(to), labels.table.clone());
                let picture = preview(&image.reoriented(to), &labels, &opaque()).unwrap();
                assert!(picture == wanted, "{to} differs");
                seen += 1;
            }
        }
        assert_eq!(seen, 48);
    }
}

#[test]
fn panels_are_to_scale_in_mm() {
    // 40 x 60 x 30 mm
    let (image, labels) = study([40, 30, 10], [1.0, 2.0, 3.0], |_| 0.0, &[]);
    let panels = Decoded::of(&preview(&image, &labels, &opaque()).unwrap()).panels();
    let sizes: Vec<_> = panels.iter().map(|p| [(p[2] - p[0] + 1) as f64, (p[3] - p[1] + 1) as f64]).collect();
    let scale = sizes[0][0] / 40.0;
    for (size, mm) in sizes.iter().zip([[40.0, 60.0], [40.0, 30.0], [60.0, 30.0]]) {
        assert!((0..2).all(|n| (size[n] - mm[n] * scale).abs() <= 2.0), "{size:?} for {mm:?}");
    }
    assert_eq!(sizes.len(), 3);
}

#[test]
fn one_slice_is_one_panel_and_odd_input_is_drawn() {
    for shape in [[30, 20, 1], [1, 30, 20], [30, 1, 20], [5, 1, 1], [1, 1, 1]] {
        let (image, labels) = study(shape, [1.0; 3], |_| 0.0, &[]);
        let picture = Decoded::of(&preview(&image, &labels, &opaque()).unwrap());
        assert_eq!((picture.panels().len(), picture.width), (1, 700), "{shape:?}");
    }
    let odd = |n: usize| [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e38, -1e38][n % 5];
    let (image, mut labels) = study([9, 8, 7], [0.01, 900.0, 5.0], odd, &[[0, 0, 0]]);
    labels.ids.data_mut().iter_mut().zip(65_000_u16..).for_each(|(id, n)| *id = n);
    let mut options = PreviewOptions::default();
    (options.width, options.title, options.legend) = (1, "a long title \u{e9}\u{4e16}".repeat(40), 5);
    (options.percentiles, options.opacity) = ([f64::NAN, -3.0], f32::NAN);
    assert_eq!(Decoded::of(&preview(&image, &labels, &options).unwrap()).width, 400);
}

#[test]
fn labels_on_another_grid_are_refused() {
    let (image, _) = study([9, 8, 7], [1.0; 3], |_| 0.0, &[]);
    let (_, labels) = study([9, 8, 7], [1.0, 1.0, 1.1], |_| 0.0, &[]);
    assert_eq!(preview(&image, &labels, &opaque()).unwrap_err().kind(), ErrorKind::Usage);
}

#[test]
fn an_existing_picture_is_kept_unless_it_may_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    write_preview(&path, Overwrite::Refuse, b"first").unwrap();
    assert_eq!(write_preview(&path, Overwrite::Refuse, b"second").unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(std::fs::read(&path).unwrap(), b"first");
    write_preview(&path, Overwrite::Replace, b"second").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"second");
}
