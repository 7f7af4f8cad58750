//! Components, filters, holes and objects of label arrays.

use numpy::ndarray::ArrayView3;
use numpy::{IntoPyArray, PyArray1, PyArray3};
use pyo3::prelude::*;
use unet_vol::labels::{self, Components, Connectivity, InstanceOptions, InstanceOrder, LabelId, Step};
use unet_vol::report::to_json;
use unet_vol::volume::LabelTable;
use unet_vol::{Affine, Grid, LabelMap, Result, Volume};

use crate::arrays::{AffineArray, VolumeArray, from_volume, grid, mapped, volume};
use crate::errors::OrRaise;
use crate::files::from_json;
use crate::work::run;

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

impl Ids<'_> {
    pub(crate) fn view(&self) -> IdView<'_> {
        match self {
            Self::Byte(array) => IdView::Byte(array.as_array()),
            Self::Short(array) => IdView::Short(array.as_array()),
        }
    }
}

impl IdView<'_> {
    fn shape(&self) -> [usize; 3] {
        let (ni, nj, nk) = match self {
            Self::Byte(view) => view.dim(),
            Self::Short(view) => view.dim(),
        };
        [ni, nj, nk]
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

fn unit(view: &IdView<'_>) -> Result<Grid> {
    view.grid(Affine::identity())
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
    fn find<T: LabelId>(ids: &Volume<T>, connectivity: u8, together: bool) -> Result<Components> {
        let class = move |id: u16| if together { u16::from(id != 0) } else { id };
        Components::by_class(ids, neighbors(connectivity)?, class)
    }
    let view = array.view();
    let (painted, voxels, ids) = run(py, || {
        let grid = unit(&view)?;
        let components = match view {
            IdView::Byte(view) => find(&volume(view, grid)?, connectivity, together),
            IdView::Short(view) => find(&volume(view, grid)?, connectivity, together),
        }?;
        Ok((components.paint::<u32>()?, components.voxels(), components.labels()))
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
    let affine = crate::arrays::to_affine(&affine).or_raise(py)?;
    let view = array.view();
    let (map, report) = run(py, || {
        let mut map = LabelMap::new(view.ids(view.grid(affine)?, |id| id)?, LabelTable::default());
        let report = labels::postprocess(&mut map, &steps)?;
        Ok((map, report))
    })?;
    Ok((from_volume(py, map.ids)?, to_json(&report).or_raise(py)?))
}

/// Objects: their numbers as voxels, and a table as JSON.
#[pyfunction]
pub(crate) fn instances<'py>(
    py: Python<'py>,
    array: VolumeArray<'py, u16>,
    affine: AffineArray<'py>,
    connectivity: u8,
    by_size: bool,
) -> PyResult<(Bound<'py, PyArray3<u32>>, String)> {
    let grid = grid(&array, &affine).or_raise(py)?;
    let view = array.as_array();
    let (painted, table) = run(py, || {
        let order = if by_size { InstanceOrder::Size } else { InstanceOrder::FirstVoxel };
        let options = InstanceOptions::default().with_connectivity(neighbors(connectivity)?).with_order(order);
        let found = labels::instances(&LabelMap::new(volume(view, grid)?, LabelTable::default()), &options)?;
        Ok((found.paint::<u32>()?, to_json(&found.objects())?))
    })?;
    Ok((from_volume(py, painted)?, table))
}
