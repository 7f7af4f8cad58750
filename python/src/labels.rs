//! Components, filters, holes and objects of label arrays.

use numpy::ndarray::ArrayView3;
use numpy::{IntoPyArray, PyArray1, PyArray3};
use pyo3::prelude::*;
use unet_vol::geometry::AxisMap;
use unet_vol::labels::{self, Components, Connectivity, InstanceOptions, InstanceOrder, Step};
use unet_vol::report::to_json;
use unet_vol::volume::{LabelTable, VolumeView};
use unet_vol::{Affine, Grid, LabelMap, Result, Volume};

use crate::arrays::{AffineArray, VolumeArray, from_volume, held, mapped, memory_order, to_affine};
use crate::errors::OrRaise;
use crate::files::from_json;
use crate::work::stage;

/// Label ids in one of two types; booleans come as bytes.
#[derive(FromPyObject)]
pub(crate) enum Ids<'py> {
    Byte(VolumeArray<'py, u8>),
    Short(VolumeArray<'py, u16>),
}

/// A view of label ids, for work without the GIL.
#[derive(Clone, Copy)]
pub(crate) enum IdView<'a> {
    Byte(ArrayView3<'a, u8>),
    Short(ArrayView3<'a, u16>),
}

/// Runs the same code on ids of either type.
macro_rules! each_type {
    ($view:expr, |$array:ident| $work:expr) => {
        match $view {
            $crate::labels::IdView::Byte($array) => $work,
            $crate::labels::IdView::Short($array) => $work,
        }
    };
}
pub(crate) use each_type;

impl Ids<'_> {
    pub(crate) fn view(&self) -> IdView<'_> {
        match self {
            Self::Byte(array) => IdView::Byte(array.as_array()),
            Self::Short(array) => IdView::Short(array.as_array()),
        }
    }
}

impl IdView<'_> {
    /// How the voxels lie in memory; `None` where there are gaps.
    pub(crate) fn order(&self) -> Option<AxisMap> {
        each_type!(self, |view| view.to_slice_memory_order().map(|_| memory_order(view.strides(), view.shape())))
    }

    pub(crate) fn shape(&self) -> [usize; 3] {
        let (ni, nj, nk) = match self {
            Self::Byte(view) => view.dim(),
            Self::Short(view) => view.dim(),
        };
        [ni, nj, nk]
    }

    pub(crate) fn voxels(&self) -> usize {
        self.shape().iter().product()
    }

    /// A grid of this shape.
    pub(crate) fn grid(&self, affine: Affine) -> Result<Grid> {
        Grid::new(self.shape(), affine)
    }

    /// A copy with each id replaced by what `change` makes of it.
    pub(crate) fn ids(&self, grid: Grid, change: impl Fn(u16) -> u16 + Sync) -> Result<Volume<u16>> {
        match self {
            Self::Byte(view) => mapped(*view, grid, |id| change(u16::from(id))),
            Self::Short(view) => mapped(*view, grid, change),
        }
    }
}

/// What was found: component numbers, voxels of each, id of each.
type Found<'py> = (Bound<'py, PyArray3<u32>>, Bound<'py, PyArray1<u64>>, Bound<'py, PyArray1<u16>>);

/// Connected voxels of one id, or of any where `together`.
#[pyfunction]
pub(crate) fn connected_components<'py>(
    py: Python<'py>,
    array: Ids<'py>,
    connectivity: u8,
    together: bool,
) -> PyResult<Found<'py>> {
    let view = array.view();
    let (painted, voxels, ids) = stage(py, view.voxels(), |cancel| {
        let neighbors = neighbors(connectivity)?;
        let class = |id: u16| if together { u16::from(id != 0) } else { id };
        let components = each_type!(view, |array| {
            let ids = held(array)?;
            let ids = VolumeView::new(view.grid(Affine::identity())?, &ids)?;
            Components::by_class_until(ids, neighbors, class, cancel)?
        });
        Ok((components.paint_until::<u32>(cancel)?, components.voxels(), components.labels()))
    })?;
    Ok((from_volume(py, painted)?, voxels.into_pyarray(py), ids.into_pyarray(py)))
}

fn neighbors(connectivity: u8) -> Result<Connectivity> {
    Connectivity::try_from(connectivity)
}

/// Label ids after steps, which are JSON, and what each step did, as JSON.
#[pyfunction]
pub(crate) fn postprocess<'py>(
    py: Python<'py>,
    array: Ids<'py>,
    affine: AffineArray<'py>,
    steps: &str,
) -> PyResult<(Bound<'py, PyArray3<u16>>, String)> {
    let steps: Vec<Step> = from_json(steps).or_raise(py)?;
    let affine = to_affine(&affine).or_raise(py)?;
    let view = array.view();
    let (map, report) = stage(py, view.voxels(), |cancel| {
        let mut map = LabelMap::new(view.ids(view.grid(affine)?, |id| id)?, LabelTable::default());
        let report = labels::postprocess_until(&mut map, &steps, cancel)?;
        Ok((map, report))
    })?;
    Ok((from_volume(py, map.ids)?, to_json(&report).or_raise(py)?))
}

/// Objects: their numbers as voxels, and a table as JSON.
#[pyfunction]
pub(crate) fn instances<'py>(
    py: Python<'py>,
    array: Ids<'py>,
    affine: AffineArray<'py>,
    connectivity: u8,
    by_size: bool,
) -> PyResult<(Bound<'py, PyArray3<u32>>, String)> {
    let affine = to_affine(&affine).or_raise(py)?;
    let view = array.view();
    let (painted, table) = stage(py, view.voxels(), |cancel| {
        let order = if by_size { InstanceOrder::Size } else { InstanceOrder::FirstVoxel };
        let options = InstanceOptions::default().with_connectivity(neighbors(connectivity)?).with_order(order);
        let found = each_type!(view, |array| {
            let ids = held(array)?;
            labels::instances_until(VolumeView::new(view.grid(affine)?, &ids)?, &options, cancel)?
        });
        Ok((found.paint::<u32>()?, to_json(&found.objects())?))
    })?;
    Ok((from_volume(py, painted)?, table))
}
