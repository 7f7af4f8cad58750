//! Which labels lie around a voxel.

/// A label volume (i fastest) and the box of voxels around each that counts, cut off at the faces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) ids: &'a [u16],
    pub(super) shape: [usize; 3],
    /// Voxels on each side along i, j, k.
    pub(super) radius: [usize; 3],
}

impl<'a> Surroundings<'a> {
    /// The rows in the box around row (j, k), that one first.
    fn rows(self, j: usize, k: usize) -> impl Iterator<Item = &'a [u16]> + Clone {
        let [ni, nj, nk] = self.shape;
        let [_, b, c] = self.radius;
        let around = |at: usize, radius: usize, count: usize| at.saturating_sub(radius)..(at + radius + 1).min(count);
        let others = itertools::iproduct!(around(k, c, nk), around(j, b, nj)).filter(move |&other| other != (k, j));
        std::iter::once((k, j)).chain(others).map(move |(k, j)| &self.ids[(k * nj + j) * ni..][..ni])
    }

    /// For each voxel of row (j, k): true where its box holds more than one label. `columns` is scratch; both hold a row.
    pub(super) fn edges(self, j: usize, k: usize, columns: &mut [bool], edges: &mut [bool]) {
        let mut rows = self.rows(j, k);
        let Some(middle) = rows.next() else { return };
        columns.fill(false);
        for row in rows {
            for ((differs, a), b) in columns.iter_mut().zip(row).zip(middle) {
                *differs |= a != b;
            }
        }
        let (last, radius) = (middle.len() - 1, self.radius[0]);
        if radius == 0 {
            edges.copy_from_slice(columns);
            return;
        }
        edges.fill(false);
        for (i, &differs) in columns.iter().enumerate() {
            let reached = i.saturating_sub(radius)..(i + radius).min(last) + 1;
            if differs {
                edges[reached.clone()].fill(true);
            }
            if i < last && middle[i] != middle[i + 1] {
                edges[reached.start + usize::from(i >= radius)..(i + radius).min(last) + 1].fill(true);
            }
        }
    }

    /// The labels in the box of a voxel, each once, ascending.
    pub(super) fn labels(self, [i, j, k]: [usize; 3], found: &mut Vec<u16>) {
        found.clear();
        let columns = i.saturating_sub(self.radius[0])..(i + self.radius[0] + 1).min(self.shape[0]);
        for &id in self.rows(j, k).flat_map(|row| &row[columns.clone()]) {
            if !found.contains(&id) {
                found.push(id);
            }
        }
        found.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_is_where_a_box_holds_several_labels() {
        let shape = [7, 5, 4];
        for seed in 0..40_usize {
            let ids: Vec<u16> = (0..140).map(|n| u16::from((n * 7919 + seed * 104_729) % 31 < seed % 4)).collect();
            for radius in [[1, 1, 1], [0, 1, 2], [2, 0, 0], [3, 1, 0]] {
                let surroundings = Surroundings { ids: &ids, shape, radius };
                for (k, j) in itertools::iproduct!(0..4, 0..5) {
                    let (mut columns, mut edges, mut found) = ([false; 7], [false; 7], Vec::new());
                    surroundings.edges(j, k, &mut columns, &mut edges);
                    for (i, &edge) in edges.iter().enumerate() {
                        surroundings.labels([i, j, k], &mut found);
                        assert_eq!(edge, found.len() > 1, "{seed} {radius:?} {i} {j} {k}");
                    }
                }
            }
        }
    }
}
