//! A tiling worked out for one volume and one network.

use super::network::{AxisRule, Dimensions, LONGEST_SIDE, NetworkShape};
use super::{Importance, Padding, Slices, Tiling, gather};
use crate::error::{Error, Result};
use crate::geometry::Region;

/// A box of indices that may reach outside the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// First index of each axis; negative before the volume.
    pub start: [isize; 3],
    /// Voxels along each axis.
    pub shape: [usize; 3],
}

/// One patch that the network reads and the box it answers for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tile {
    /// Place in the layout's order.
    pub number: usize,
    /// What is read; [`Padding`] fills what lies outside the volume.
    pub read: Window,
    /// The voxels of the volume that the tile answers for.
    pub write: Region,
    /// Where `write.start` lies in the network's output, per volume axis.
    pub keep: [usize; 3],
}

/// A run of voxels along i that a tile answers for, and where their scores are in one channel of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The first voxel.
    pub index: [usize; 3],
    /// Number of voxels.
    pub len: usize,
    /// Offset of the first voxel's score within a channel; its weight has the same offset in [`Layout::weights`].
    pub source: usize,
    /// Distance of the next voxel's score; 1 but for slices across i.
    pub stride: usize,
}

/// One tile along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) read: isize,
    pub(super) write: (usize, usize),
    pub(super) keep: usize,
}

/// All tiles along one axis, sorted by what they write.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AxisTiles {
    /// Voxels read by each.
    pub(super) patch: usize,
    /// Voxels that the network gives back for each.
    pub(super) output: usize,
    pub(super) spans: Vec<Span>,
    pub(super) padding: Padding,
}

/// The tiles of a volume, in the order in which they are to be run: k slowest, then j, then i.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    shape: [usize; 3],
    axes: [AxisTiles; 3],
    /// The volume axis behind each spatial axis of the tensor, fastest first; the slice axis is last.
    order: [usize; 3],
    dimensions: Dimensions,
    batch: usize,
    importance: Option<(Importance, f64)>,
}

const NAMES: [char; 3] = ['i', 'j', 'k'];

impl Layout {
    /// Works a tiling out for a volume of `shape` voxels (i, j, k).
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when the network does not take the patch, or tiling and network do not go together;
    /// [`crate::ErrorKind::Usage`] when the volume has no voxel; [`crate::ErrorKind::Limit`] when a side is longer than
    /// 2^20 voxels.
    pub fn new(tiling: &Tiling, shape: [usize; 3], network: &NetworkShape) -> Result<Self> {
        if shape.contains(&0) {
            return Err(Error::usage(format!("a volume of {shape:?} voxels cannot be cut into tiles")));
        }
        if shape.iter().any(|&side| side > LONGEST_SIDE) {
            return Err(Error::limit(format!("a volume of {shape:?} voxels is too long for tiles")));
        }
        let (slices, within) = match tiling {
            Tiling::Slices(slices) => (Some(slices), slices.plane.as_ref()),
            other => (None, other),
        };
        match (network.dimensions, slices) {
            (Dimensions::Two, None) => {
                return Err(Error::model("a 2-D network needs a tiling by slices")
                    .hint("use the method \"slices\" with this one as its plane"));
            }
            (Dimensions::Three, Some(_)) => return Err(Error::model("slices need a 2-D network; this one is 3-D")),
            _ => {}
        }
        let order = slices.map_or([0, 1, 2], Slices::order);
        let tiles = |axis: usize| match slices {
            Some(slices) if axis == slices.axis.index() => slices.across(shape[axis]),
            _ => {
                let rank = order.iter().position(|&a| a == axis).unwrap_or(axis);
                within.along(axis, shape[axis], &network.rule(rank, NAMES[axis])?)
            }
        };
        Ok(Self {
            shape,
            axes: [tiles(0)?, tiles(1)?, tiles(2)?],
            order,
            dimensions: network.dimensions,
            batch: slices.map_or(1, |slices| slices.batch.max(1)),
            importance: within.importance(),
        })
    }

    /// The same tiles, `batch` (at least 1) of them per run of the network.
    #[must_use]
    pub fn with_batch(self, batch: usize) -> Self {
        Self { batch: batch.max(1), ..self }
    }

    /// Tiles per run of the network.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Number of tiles.
    #[must_use]
    pub fn len(&self) -> usize {
        self.axes.iter().map(|axis| axis.spans.len()).product()
    }

    /// False: a layout has at least one tile.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs of the network; the last may hold fewer tiles than [`Layout::batch`].
    #[must_use]
    pub fn passes(&self) -> usize {
        self.len().div_ceil(self.batch)
    }

    /// The volume's voxels along i, j, k.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Voxels read by every tile, along i, j, k.
    #[must_use]
    pub fn patch(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.axes[axis].patch)
    }

    /// Voxels that the network gives back for every tile, along i, j, k.
    #[must_use]
    pub fn output(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.axes[axis].output)
    }

    /// The volume axis behind each spatial axis of the tensor, fastest first; the slice axis is last.
    #[must_use]
    pub fn order(&self) -> [usize; 3] {
        self.order
    }

    /// Shape of the input tensor: `[batch, channels, k, j, i]`, or `[batch, channels * slices, height, width]` where
    /// the channel is slower than the neighboring slice.
    #[must_use]
    pub fn input_shape(&self, batch: usize, channels: usize) -> Vec<usize> {
        let [fast, middle, slow] = self.order.map(|axis| self.axes[axis].patch);
        match self.dimensions {
            Dimensions::Two => vec![batch, channels * slow, middle, fast],
            Dimensions::Three => vec![batch, channels, slow, middle, fast],
        }
    }

    /// Shape of the output tensor: `[batch, classes, k, j, i]` or `[batch, classes, height, width]`.
    #[must_use]
    pub fn output_shape(&self, batch: usize, classes: usize) -> Vec<usize> {
        let [fast, middle, slow] = self.order.map(|axis| self.axes[axis].output);
        match self.dimensions {
            Dimensions::Two => vec![batch, classes, middle, fast],
            Dimensions::Three => vec![batch, classes, slow, middle, fast],
        }
    }

    /// The tile with this number; `None` past the last.
    #[must_use]
    pub fn tile(&self, number: usize) -> Option<Tile> {
        let [ni, nj, _] = [0, 1, 2].map(|axis| self.axes[axis].spans.len());
        let place = [number % ni, number / ni % nj, number / ni / nj];
        let span = |axis: usize| self.axes[axis].spans.get(place[axis]).copied();
        let spans = [span(0)?, span(1)?, span(2)?];
        Some(Tile {
            number,
            read: Window { start: spans.map(|s| s.read), shape: self.patch() },
            write: Region::new(spans.map(|s| s.write.0), spans.map(|s| s.write.1)),
            keep: spans.map(|s| s.keep),
        })
    }

    /// All tiles in order.
    pub fn tiles(&self) -> impl Iterator<Item = Tile> {
        (0..self.len()).filter_map(|number| self.tile(number))
    }

    /// Planes k below this are final once all tiles before `number` are done: no later tile writes to them.
    #[must_use]
    pub fn finished_before(&self, number: usize) -> usize {
        self.tile(number).map_or(self.shape[2], |tile| tile.write.start[2])
    }

    /// The most planes that wait for scores at one time, when planes leave as soon as a pass has finished them.
    #[must_use]
    pub fn ring_planes(&self) -> usize {
        let (len, batch) = (self.len(), self.batch);
        let planes = |pass: usize| {
            let first = pass * batch;
            let last = (first + batch).min(len) - 1;
            let top = self.tile(last).map_or(self.shape[2], |tile| tile.write.end[2]);
            top - self.finished_before(first).min(top)
        };
        (0..self.passes()).map(planes).max().unwrap_or(0)
    }

    /// Bytes of the ring: `f32` scores of all classes, and the sum of weights where tiles overlap.
    #[must_use]
    pub fn ring_bytes(&self, classes: usize) -> u64 {
        let values = classes.saturating_add(usize::from(self.importance.is_some()));
        [self.shape[0], self.shape[1], self.ring_planes(), values]
            .iter()
            .fold(4, |b: u64, &n| b.saturating_mul(n as u64))
    }

    /// Weight of each voxel of the network's output, in the order of its memory; `None` where tiles abut and every
    /// voxel gets one score.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Limit`] when the memory cannot be had.
    pub fn weights(&self) -> Result<Option<Vec<f32>>> {
        let output = self.output();
        self.importance
            .map(|(importance, sigma)| importance.map(self.order.map(|axis| output[axis]), sigma))
            .transpose()
    }

    /// Reads a tile's patch of one channel of a volume (i fastest) into `out`, in the order of the tensor's memory.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] when `source` does not fill the volume or `out` does not fill the patch.
    pub fn gather(&self, source: &[f32], tile: &Tile, out: &mut [f32]) -> Result<()> {
        let padding = [0, 1, 2].map(|axis| self.axes[axis].padding);
        gather(source, self.shape, &tile.read, self.order, padding, out)
    }

    /// The rows of voxels that `tile` answers for, in the order of the volume's memory, with the place of their scores.
    pub fn rows(&self, tile: &Tile) -> impl Iterator<Item = Row> + use<> {
        let output = self.output();
        let mut strides = [0; 3];
        let mut stride = 1;
        for axis in self.order {
            strides[axis] = stride;
            stride *= output[axis];
        }
        let (write, keep) = (tile.write, tile.keep);
        (write.start[2]..write.end[2]).flat_map(move |k| {
            (write.start[1]..write.end[1]).map(move |j| {
                let index = [write.start[0], j, k];
                let source = (0..3).map(|a| (keep[a] + index[a] - write.start[a]) * strides[a]).sum();
                Row { index, len: write.end[0] - write.start[0], source, stride: strides[0] }
            })
        })
    }
}

impl Tiling {
    /// The tiles along one axis of `length` voxels.
    fn along(&self, axis: usize, length: usize, rule: &AxisRule) -> Result<AxisTiles> {
        match self {
            Self::OverlapTile(way) => way.along(axis, length, rule),
            Self::SlidingWindow(way) => way.along(axis, length, rule),
            Self::Whole(way) => way.along(length, rule),
            Self::Exact(way) => way.along(axis, length, rule),
            Self::Slices(_) => Err(Error::model("the plane of slices cannot be slices again")),
        }
    }

    /// The importance map and its width where tiles overlap.
    fn importance(&self) -> Option<(Importance, f64)> {
        if let Self::SlidingWindow(window) = self { Some((window.importance, window.sigma_scale)) } else { None }
    }
}

/// The part of a patch that hangs over the volume's start when what is missing is shared out evenly: the smaller half.
pub(super) fn before(missing: usize) -> isize {
    (missing / 2) as isize
}
