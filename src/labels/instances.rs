//! Instances: a semantic label map becomes numbered objects in a fixed order.

use serde::{Deserialize, Serialize};

use super::components::{Component, Components, Connectivity};
use super::runs::LabelId;
use crate::error::Result;
use crate::limits::Cancel;
use crate::volume::{Volume, VolumeView};

/// In which order objects are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InstanceOrder {
    /// By the first voxel in i-fastest scan order.
    #[default]
    FirstVoxel,
    /// The largest first; by the first voxel where sizes tie.
    Size,
}

/// How [`instances`] finds and numbers objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct InstanceOptions {
    /// Which voxels touch.
    pub connectivity: Connectivity,
    /// The order of the numbers.
    pub order: InstanceOrder,
}

impl InstanceOptions {
    /// With this connectivity.
    #[must_use]
    pub fn with_connectivity(mut self, connectivity: Connectivity) -> Self {
        self.connectivity = connectivity;
        self
    }

    /// With numbers in this order.
    #[must_use]
    pub fn with_order(mut self, order: InstanceOrder) -> Self {
        self.order = order;
        self
    }
}

/// Numbered objects of a label map.
#[derive(Debug, Clone)]
pub struct Instances {
    components: Components,
    /// In the order of their numbers.
    objects: Vec<Component>,
    /// The object number of each component.
    numbers: Vec<u32>,
}

/// The objects of a label map, or of ids alone: connected voxels of one id.
///
/// # Errors
/// [`crate::ErrorKind::Limit`] as [`Components::new`].
pub fn instances<'a, T: LabelId + 'a>(
    ids: impl Into<VolumeView<'a, T>>,
    options: &InstanceOptions,
) -> Result<Instances> {
    instances_until(ids.into(), options, &Cancel::new())
}

/// As [`instances`], stopped by `cancel` within a plane.
///
/// # Errors
/// As [`instances`]; [`crate::ErrorKind::Interrupted`] once `cancel` was turned.
pub fn instances_until<T: LabelId>(
    ids: VolumeView<'_, T>,
    options: &InstanceOptions,
    cancel: &Cancel,
) -> Result<Instances> {
    let components = Components::by_class_until(ids, options.connectivity, |id| id, cancel)?;
    let mut objects = components.table()?;
    if options.order == InstanceOrder::Size {
        // Stable: components come ordered by their first voxel.
        objects.sort_by_key(|object| std::cmp::Reverse(object.voxels));
    }
    let mut numbers = vec![0; objects.len()];
    for (object, number) in objects.iter_mut().zip(1..) {
        numbers[object.number as usize - 1] = number;
        object.number = number;
    }
    Ok(Instances { components, objects, numbers })
}

impl Instances {
    /// The objects; number n stands at index n - 1.
    #[must_use]
    pub fn objects(&self) -> &[Component] {
        &self.objects
    }

    /// Object numbers as voxels, 0 for background, as `u8`, `u16` or `u32`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Limit`] when there are more objects than `T` can number, or the memory cannot be had.
    pub fn paint<T>(&self) -> Result<Volume<T>>
    where
        T: TryFrom<u32> + Copy + Default + Send + Sync,
    {
        self.components.paint_as(self.numbers.iter().copied(), &Cancel::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Affine, Grid};
    use crate::volume::{LabelMap, LabelTable};

    fn map(ids: Vec<u16>) -> LabelMap {
        let grid = Grid::new([ids.len(), 1, 1], Affine::identity()).unwrap();
        LabelMap::new(Volume::new(grid, ids).unwrap(), LabelTable::default())
    }

    #[test]
    fn objects_are_numbered_by_first_voxel_or_by_size() {
        let map = map(vec![2, 0, 1, 1, 1, 2, 2, 0, 1, 1]);
        let first = instances(&map, &InstanceOptions::default()).unwrap();
        assert_eq!(first.paint::<u16>().unwrap().data(), [1, 0, 2, 2, 2, 3, 3, 0, 4, 4]);
        let options = InstanceOptions::default().with_order(InstanceOrder::Size);
        let by_size = instances(&map, &options).unwrap();
        assert_eq!(by_size.paint::<u8>().unwrap().data(), [4, 0, 1, 1, 1, 2, 2, 0, 3, 3]);
        let objects: Vec<_> = by_size.objects().iter().map(|o| (o.number, o.label, o.voxels)).collect();
        assert_eq!(objects, [(1, 1, 3), (2, 2, 2), (3, 1, 2), (4, 2, 1)]);
    }

    #[test]
    fn more_objects_than_the_type_can_number_are_refused() {
        let map = map([0, 1].repeat(70_000));
        let objects = instances(&map, &InstanceOptions::default()).unwrap();
        let error = objects.paint::<u16>().unwrap_err();
        assert_eq!(error.message(), "70000 objects do not fit into 16 bits");
        assert_eq!(objects.paint::<u32>().unwrap().data()[139_999], 70_000);
    }
}
