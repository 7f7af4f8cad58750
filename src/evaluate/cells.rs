//! Area of the surface that passes between eight neighbouring voxels of which some are inside a mask.
//!
//! The surface is that of marching cubes (Lorensen & Cline, 1987) through the middles of the lattice's edges. Where a
//! face has two inside corners across, the surface keeps apart the corners of the kind that the cell has fewer of, and a
//! polygon that is not flat is cut into the fan of triangles with the largest area on a cube: with this choice the areas
//! are those of DeepMind's `surface-distance` for every cell and spacing.

/// A corner n of a cell lies at (n & 1, n >> 1 & 1, n >> 2).
type Corner = usize;

/// A point of the surface in units of the cell.
type Point = [f64; 3];

/// The six faces, each with its corners in a circle.
const FACES: [[Corner; 4]; 6] = [[0, 2, 6, 4], [1, 3, 7, 5], [0, 1, 5, 4], [2, 3, 7, 6], [0, 1, 3, 2], [4, 5, 7, 6]];

/// Area in mm^2 for each of the 256 cells: bit n of the index says that corner n is inside.
pub(super) fn areas(spacing: [f64; 3]) -> [f64; 256] {
    std::array::from_fn(|code| polygons(code).iter().map(|polygon| area(polygon, spacing)).sum())
}

/// The polygons that separate the inside corners of a cell from the others.
fn polygons(code: usize) -> Vec<Vec<Point>> {
    let fewer = if code.count_ones() > 4 { !code } else { code };
    let inside = |corner: Corner| fewer >> corner & 1 == 1;
    // One segment for each stretch of inside corners around a face, between the edges that lead in and out.
    let mut segments = Vec::new();
    for face in FACES {
        for first in (0..4).filter(|&n| inside(face[n]) && !inside(face[(n + 3) % 4])) {
            let outside = (first..first + 4).find(|&n| !inside(face[n % 4])).unwrap_or(first);
            let edge = |n: usize| [face[(n + 3) % 4], face[n % 4]];
            segments.push([edge(first), edge(outside)].map(|[a, b]| [a.min(b), a.max(b)]));
        }
    }
    // Each edge lies on two faces, so the segments close to rings.
    let mut polygons = Vec::new();
    while let Some([start, mut end]) = segments.pop() {
        let mut polygon = vec![middle(start)];
        while let Some(n) = segments.iter().position(|segment| segment.contains(&end)) {
            polygon.push(middle(end));
            let [a, b] = segments.swap_remove(n);
            end = if a == end { b } else { a };
        }
        polygons.push(polygon);
    }
    polygons
}

fn middle([a, b]: [Corner; 2]) -> Point {
    [0, 1, 2].map(|axis| if (a >> axis ^ b >> axis) & 1 == 1 { 0.5 } else { f64::from(u8::from(a >> axis & 1 == 1)) })
}

/// Area in mm^2 of the fan of triangles that has the largest area on a cube.
fn area(polygon: &[Point], spacing: [f64; 3]) -> f64 {
    let fan = |first: usize, spacing: [f64; 3]| -> f64 {
        let point = |n: usize| polygon[(first + n) % polygon.len()];
        (2..polygon.len()).map(|n| triangle([point(0), point(n - 1), point(n)], spacing)).sum()
    };
    let widest = (0..polygon.len()).max_by(|&a, &b| fan(a, [1.0; 3]).total_cmp(&fan(b, [1.0; 3])));
    widest.map_or(0.0, |first| fan(first, spacing))
}

fn triangle([a, b, c]: [Point; 3], spacing: [f64; 3]) -> f64 {
    let side = |to: Point| [0, 1, 2].map(|axis| (to[axis] - a[axis]) * spacing[axis]);
    let (u, v) = (side(b), side(c));
    let normal = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    0.5 * normal.iter().map(|n| n * n).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_of_flat_cells_are_those_of_geometry() {
        let areas = areas([1.0, 2.0, 3.0]);
        assert_eq!((areas[0], areas[255]), (0.0, 0.0));
        // A slab: one face of the cell, 2 x 3, 1 x 3, 1 x 2 mm.
        for (code, area) in [(0b0101_0101, 6.0), (0b0011_0011, 3.0), (0b0000_1111, 2.0)] {
            assert!((areas[code] - area).abs() < 1e-12);
        }
        // One corner: the triangle with vector area (6, 3, 2) / 8.
        assert!((areas[1] - 49_f64.sqrt() / 8.0).abs() < 1e-12);
        // An edge along i: a rectangle of 1 x the hypotenuse of 1 and 1.5.
        assert!((areas[0b11] - 3.25_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_cell_and_its_complement_have_one_area_and_so_have_turned_cells() {
        let cube = areas([1.0; 3]);
        let turned = |code: usize| (0..8).filter(|n| code >> n & 1 == 1).fold(0, |c, n| c | 1 << (n << 1 & 6 | n >> 2));
        for code in 0..256 {
            assert!((cube[code] - cube[255 - code]).abs() < 1e-12);
            assert!((cube[code] - cube[turned(code)]).abs() < 1e-12);
        }
    }

    /// Areas that DeepMind's `surface-distance` 0.1 gives for a spacing of 1, 1.3, 2.7 mm: cells of each shape that is
    /// not flat, in this module's order of corners.
    #[test]
    fn areas_of_bent_cells_are_deepminds() {
        let areas = areas([1.0, 1.3, 2.7]);
        for (code, area) in DEEPMIND {
            assert!((areas[code] - area).abs() < 1e-6, "cell {code}: {} instead of {area}", areas[code]);
        }
        let all: f64 = (0..).zip(areas).map(|(code, area)| f64::from(code) * area).sum();
        assert!((all - 80815.038425).abs() < 1e-4, "{all}");
    }

    const DEEPMIND: [(usize, f64); 17] = [
        (168, 3.485701),
        (224, 2.380701),
        (172, 3.992519),
        (76, 3.080701),
        (176, 2.380701),
        (208, 2.380701),
        (114, 4.350436),
        (84, 3.485701),
        (11, 2.380701),
        (225, 2.957602),
        (45, 2.957602),
        (197, 3.992519),
        (57, 3.657602),
        (209, 4.16385),
        (29, 4.16385),
        (31, 2.380701),
        (248, 2.380701),
    ];
}
