//! A box of voxels.

/// A half-open box of voxel indices: `start[a] <= index[a] < end[a]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Region {
    /// First index of each axis.
    pub start: [usize; 3],
    /// One past the last index of each axis.
    pub end: [usize; 3],
}

impl Region {
    /// From start (inclusive) and end (exclusive).
    #[must_use]
    pub fn new(start: [usize; 3], end: [usize; 3]) -> Self {
        Self { start, end }
    }

    /// All of a volume of `shape`.
    #[must_use]
    pub fn whole(shape: [usize; 3]) -> Self {
        Self { start: [0; 3], end: shape }
    }

    /// Voxels per axis; zero where the box is empty.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.end[axis].saturating_sub(self.start[axis]))
    }

    /// Number of voxels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape().iter().product()
    }

    /// True when no voxel is inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The part that lies inside both.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let start = [0, 1, 2].map(|axis| self.start[axis].max(other.start[axis]));
        let end = [0, 1, 2].map(|axis| self.end[axis].min(other.end[axis]).max(start[axis]));
        Self { start, end }
    }

    /// Grown by `margin` voxels on each side, clipped to `shape`.
    #[must_use]
    pub fn grown(&self, margin: usize, shape: [usize; 3]) -> Self {
        Self {
            start: self.start.map(|v| v.saturating_sub(margin)),
            end: [0, 1, 2].map(|axis| (self.end[axis] + margin).min(shape[axis])),
        }
    }

    /// True when `index` is inside.
    #[must_use]
    pub fn contains(&self, index: [usize; 3]) -> bool {
        (0..3).all(|axis| (self.start[axis]..self.end[axis]).contains(&index[axis]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intersection_of_disjoint_boxes_is_empty() {
        let a = Region::new([0, 0, 0], [2, 2, 2]);
        let b = Region::new([5, 0, 0], [6, 2, 2]);
        assert!(a.intersect(&b).is_empty());
        assert_eq!(a.grown(4, [7, 2, 2]), Region::new([0, 0, 0], [6, 2, 2]));
    }
}
