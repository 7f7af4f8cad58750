//! Tilings of arrays, and stitching of scores.

use std::sync::Mutex;

use numpy::ndarray::Array4;
use numpy::{IntoPyArray, PyArray4, PyArrayDyn, PyReadonlyArrayDyn};
use pyo3::prelude::*;
use unet_vol::pipeline::{Slab, Stitcher};
use unet_vol::tiling::{self, NetworkShape, Tile, Tiling};
use unet_vol::{Error, Result, limits};

use crate::arrays::VolumeArray;
use crate::errors::OrRaise;
use crate::files::from_json;
use crate::work::{run_locked, stage};

/// A tiling worked out for one shape; immutable.
#[pyclass(frozen, module = "unet_vol._native")]
#[derive(Debug)]
pub(crate) struct Layout(tiling::Layout);

/// Number, first index read, first index written, index past the last written, and where the first lies in the output.
type TileParts = ([isize; 3], [usize; 3], [usize; 3], [usize; 3]);

#[pymethods]
impl Layout {
    /// `tiling` and `network` are JSON; without `network` any side is taken.
    #[new]
    #[pyo3(signature = (tiling, shape, network, batch))]
    fn new(py: Python<'_>, tiling: &str, shape: [usize; 3], network: Option<&str>, batch: usize) -> PyResult<Self> {
        let make = || {
            let tiling: Tiling = from_json(tiling)?;
            let network: NetworkShape = network.map_or(Ok(NetworkShape::padded([1; 3])), from_json)?;
            Ok(tiling::Layout::new(&tiling, shape, &network)?.with_batch(batch))
        };
        make().or_raise(py).map(Self)
    }

    #[getter]
    fn shape(&self) -> [usize; 3] {
        self.0.shape()
    }

    #[getter]
    fn patch(&self) -> [usize; 3] {
        self.0.patch()
    }

    #[getter]
    fn output(&self) -> [usize; 3] {
        self.0.output()
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// The parts of a tile.
    fn tile(&self, py: Python<'_>, number: usize) -> PyResult<TileParts> {
        let tile = self.get(number).or_raise(py)?;
        Ok((tile.read.start, tile.write.start, tile.write.end, tile.keep))
    }

    /// The patches of tiles `first..first + count` as `[N, C, k, j, i]`.
    fn gather<'py>(
        &self,
        py: Python<'py>,
        channels: Vec<VolumeArray<'py, f32>>,
        first: usize,
        count: usize,
    ) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
        let slices: Option<Vec<&[f32]>> =
            channels.iter().map(|channel| channel.as_array().reversed_axes().to_slice()).collect();
        let right = |slices: &Vec<&[f32]>| slices.iter().all(|s| s.len() == self.0.shape().iter().product::<usize>());
        let slices = slices.filter(right).ok_or_else(|| Error::usage("a channel does not fill the layout's shape"));
        let slices = slices.or_raise(py)?;
        let end = first.checked_add(count).filter(|&end| first < end && end <= self.0.len());
        let end =
            end.ok_or_else(|| Error::usage(format!("{count} tiles from {first} on are not there"))).or_raise(py)?;
        let shape = self.0.input_shape(count, slices.len());
        let values = stage(py, shape.iter().product(), |_| {
            let mut values = limits::zeroed(shape.iter().product(), "patches")?;
            let patch = self.0.patch().iter().product::<usize>();
            let places = (first..end).flat_map(|number| slices.iter().map(move |s| (number, s)));
            for ((number, channel), out) in places.zip(values.chunks_mut(patch)) {
                self.0.gather(channel, &self.get(number)?, out)?;
            }
            Ok(values)
        })?;
        let array = numpy::ndarray::ArrayD::from_shape_vec(shape, values);
        let array = array.map_err(|e| Error::internal(e.to_string())).or_raise(py)?;
        Ok(array.into_pyarray(py))
    }

    /// Adds up scores.
    fn stitch(&self, py: Python<'_>, classes: usize) -> PyResult<Stitch> {
        let values = self.0.shape().iter().product::<usize>().saturating_mul(classes);
        let sums = stage(py, values, |_| Sums::new(self.0.clone(), classes))?;
        Ok(Stitch { values, sums: Mutex::new(Some(sums)) })
    }
}

impl Layout {
    fn get(&self, number: usize) -> Result<Tile> {
        let len = self.0.len();
        self.0.tile(number).ok_or_else(|| Error::usage(format!("there is no tile {number} among {len}")))
    }
}

/// Scores of a volume in the making.
#[derive(Debug)]
struct Sums {
    layout: tiling::Layout,
    stitcher: Stitcher,
    classes: usize,
    /// Number of the next tile.
    next: usize,
    /// Planes that are in `scores`.
    done: usize,
    /// `[classes][nk][nj][ni]`.
    scores: Vec<f32>,
}

impl Sums {
    fn new(layout: tiling::Layout, classes: usize) -> Result<Self> {
        let voxels: usize = layout.shape().iter().product();
        let values = classes.checked_mul(voxels).filter(|&values| values > 0);
        let values = values.ok_or_else(|| Error::usage(format!("{classes} classes make no scores")))?;
        let scores = limits::zeroed(values, "scores")?;
        Ok(Self { stitcher: Stitcher::new(layout.clone(), classes)?, layout, classes, next: 0, done: 0, scores })
    }

    fn take(&mut self, end: usize) -> Result<()> {
        let [ni, nj, nk] = self.layout.shape();
        let (plane, first, scores) = (ni * nj, self.done, &mut self.scores);
        self.stitcher.finish(end, |slab: Slab<'_>| {
            let len = slab.planes * plane;
            for (to, from) in scores.chunks_mut(plane * nk).zip(slab.data.chunks(slab.class_stride)) {
                to[first * plane..][..len].copy_from_slice(&from[..len]);
            }
            Ok(())
        })?;
        self.done = end.max(self.done);
        Ok(())
    }

    fn add(&mut self, values: &[f32]) -> Result<()> {
        let tile = self.layout.tile(self.next);
        let tile = tile.ok_or_else(|| Error::usage("there are more scores than tiles"))?;
        self.take(self.layout.finished_before(self.next))?;
        self.stitcher.add(&tile, values);
        self.next += 1;
        Ok(())
    }
}

/// Adds up the scores of tiles, in the order of the layout.
#[pyclass(frozen, module = "unet_vol._native")]
#[derive(Debug)]
pub(crate) struct Stitch {
    /// How many scores there are.
    values: usize,
    sums: Mutex<Option<Sums>>,
}

#[pymethods]
impl Stitch {
    /// Adds the scores of the next tiles, `[N, classes, k, j, i]` in C order.
    fn add(&self, py: Python<'_>, scores: PyReadonlyArrayDyn<'_, f32>) -> PyResult<()> {
        let shape = scores.as_array().shape().to_vec();
        let values = scores.as_slice()?;
        run_locked(py, self.values, &self.sums, |slot| {
            let sums = slot.as_mut().ok_or_else(finished)?;
            let tiles = shape.first().copied().unwrap_or(0);
            let wanted = sums.layout.output_shape(tiles, sums.classes);
            if shape != wanted || tiles == 0 {
                return Err(Error::usage(format!("scores of shape {shape:?} were given where {wanted:?} is expected")));
            }
            values.chunks(values.len() / tiles).try_for_each(|values| sums.add(values))
        })
    }

    /// The scores `[classes, k, j, i]`, once; every tile must be in.
    fn finish<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray4<f32>>> {
        let (scores, [ni, nj, nk], classes) = run_locked(py, self.values, &self.sums, |slot| {
            let mut sums = slot.take().ok_or_else(finished)?;
            if sums.next < sums.layout.len() {
                let (have, all) = (sums.next, sums.layout.len());
                return Err(Error::usage(format!("the scores of {} of {all} tiles are missing", all - have)));
            }
            let shape = sums.layout.shape();
            sums.take(shape[2])?;
            Ok((sums.scores, shape, sums.classes))
        })?;
        let array = Array4::from_shape_vec((classes, nk, nj, ni), scores);
        Ok(array.map_err(|e| Error::internal(e.to_string())).or_raise(py)?.into_pyarray(py))
    }
}

fn finished() -> Error {
    Error::usage("the scores were taken out already")
}
