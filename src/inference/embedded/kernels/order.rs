//! How the rows of a result are dealt out.

/// In which order units of some rows follow each other: down through all planes, strip of rows after strip.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    /// Rows of a unit at most.
    pub(super) rows: usize,
    /// Rows of a strip.
    pub(super) strip: usize,
    pub(super) depth: usize,
    pub(super) height: usize,
}

impl Order {
    /// Units of the last strip's planes are counted as if it were whole, and may be empty.
    pub(super) fn chunks(&self) -> usize {
        self.height.div_ceil(self.strip) * self.depth * self.strip.div_ceil(self.rows)
    }

    /// Rows (`d * height + h`) of a unit.
    pub(super) fn rows(&self, chunk: usize) -> std::ops::Range<usize> {
        let per_plane = self.strip.div_ceil(self.rows);
        let (strip, plane, part) = (chunk / per_plane / self.depth, chunk / per_plane % self.depth, chunk % per_plane);
        let end = self.height.min((strip + 1) * self.strip);
        let first = (strip * self.strip + part * self.rows).min(end);
        let start = plane * self.height;
        start + first..start + end.min(first + self.rows)
    }
}
