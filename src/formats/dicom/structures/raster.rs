//! From contours to labels on a grid.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::super::contours::{Fill, Point};
use super::{Contour, Structure, StructureSet};
use crate::error::{Error, Result, Warning};
use crate::geometry::Grid;
use crate::volume::{Label, LabelMap, LabelTable, Volume};

/// The points of a contour may differ by this much (in steps from slice to slice) across the slices.
const FLAT: f64 = 0.2;
/// A contour this near (in steps) to a slice lies on it.
const ON_SLICE: f64 = 0.01;
/// A contour this near is moved to the slice, with a warning.
const NEAR_SLICE: f64 = 0.25;
/// Pairs of overlapping structures that a warning names.
const NAMED: usize = 4;

/// The closed contours of a structure on one slice, in columns and rows.
struct Area {
    /// Which of the structures.
    structure: usize,
    k: usize,
    contours: Vec<Vec<Point>>,
}

/// Voxels in two structures, by the id of the larger and that of the smaller one.
type Overlaps = BTreeMap<(u16, u16), usize>;

/// Structures of which each has an id.
struct Chosen<'a> {
    structures: Vec<(u16, &'a Structure)>,
    warnings: Vec<Warning>,
}

impl StructureSet {
    /// The labels of the voxels whose middles the contours enclose, on a grid whose slices they were drawn on; `only` the
    /// structures of these names (upper and lower case alike), where given.
    ///
    /// Where contours of one structure lie within each other the inner ones are holes. A voxel in several structures gets
    /// the one with the fewest voxels, so that an organ is not lost in the outline of the body, with a warning. Ids are
    /// the structures' numbers, or count from 1 where these are no ids.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unsupported`] when a contour does not lie on a slice of the grid or no structure has closed
    /// contours; [`crate::ErrorKind::Usage`] when a name is none of a structure; [`crate::ErrorKind::Limit`] when the
    /// memory cannot be had.
    pub fn rasterize(&self, grid: &Grid, only: Option<&[String]>) -> Result<(LabelMap, Vec<Warning>)> {
        let Chosen { structures, mut warnings } = self.choose(only)?;
        let areas = areas(&structures, grid, &mut warnings)?;
        let [columns, rows, _] = grid.shape();
        let fill = |area: &Area| Fill::of(&area.contours, [columns, rows]);
        let counts = areas.par_iter().map(|area| Ok((area.structure, fill(area)?.inside().count())));
        let mut voxels = vec![0_usize; structures.len()];
        counts.collect::<Result<Vec<_>>>()?.into_iter().for_each(|(structure, count)| voxels[structure] += count);
        let mut by_slice: BTreeMap<usize, Vec<&Area>> = BTreeMap::new();
        areas.iter().for_each(|area| by_slice.entry(area.k).or_default().push(area));

        let mut ids = Volume::<u16>::zeros(*grid)?;
        let planes = ids.data_mut().par_chunks_mut(columns * rows).enumerate();
        let shared = planes.map(|(k, plane)| {
            let mut shared = Overlaps::new();
            let mut areas = by_slice.get(&k).cloned().unwrap_or_default();
            areas.sort_by_key(|area| (Reverse(voxels[area.structure]), area.structure));
            for area in areas {
                let id = structures[area.structure].0;
                for [i, j] in fill(area)?.inside() {
                    let before = std::mem::replace(&mut plane[j * columns + i], id);
                    if before != 0 {
                        *shared.entry((before, id)).or_default() += 1;
                    }
                }
            }
            Ok(shared)
        });
        let mut overlaps = Overlaps::new();
        for shared in shared.collect::<Result<Vec<_>>>()? {
            shared.into_iter().for_each(|(pair, count)| *overlaps.entry(pair).or_default() += count);
        }
        let labels = structures.iter().map(|&(id, structure)| Label {
            id,
            name: structure.name.clone(),
            rgb: structure.color(id),
            code: None,
        });
        let table = LabelTable::new(labels.collect())?;
        warnings.extend(overlap_warning(&table, overlaps));
        Ok((LabelMap::new(ids, table), warnings))
    }

    /// The structures that have closed contours, those of `only` where given.
    fn choose(&self, only: Option<&[String]>) -> Result<Chosen<'_>> {
        let is_named = |structure: &&Structure| {
            only.is_none_or(|names| names.iter().any(|name| structure.name.eq_ignore_ascii_case(name.trim())))
        };
        let named: Vec<_> = self.structures.iter().filter(is_named).collect();
        let missing = only
            .unwrap_or_default()
            .iter()
            .find(|name| named.iter().all(|structure| !structure.name.eq_ignore_ascii_case(name.trim())));
        if let Some(name) = missing {
            let names: Vec<_> = self.structures.iter().map(|structure| format!("{:?}", structure.name)).collect();
            return Err(Error::usage(format!("no structure is named {name:?}: there are {}", names.join(", "))));
        }
        let (areas, others): (Vec<_>, Vec<_>) =
            named.into_iter().partition(|structure| structure.contours.iter().any(Contour::is_closed));
        if areas.is_empty() {
            return Err(Error::unsupported("no structure of this set has closed contours"));
        }
        let mut warnings = Vec::new();
        if !others.is_empty() {
            let names: Vec<_> = others.iter().map(|structure| format!("{:?}", structure.name)).collect();
            let message = format!("structures without closed contours are left out: {}", names.join(", "));
            warnings.push(Warning::new("open-contours", message));
        }
        let numbers: BTreeSet<_> =
            areas.iter().filter_map(|s| u16::try_from(s.number).ok().filter(|&n| n > 0)).collect();
        let ids: Vec<u16> = if numbers.len() == areas.len() {
            areas.iter().filter_map(|structure| u16::try_from(structure.number).ok()).collect()
        } else {
            (1..=u16::MAX).take(areas.len()).collect()
        };
        if ids.len() < areas.len() {
            return Err(Error::unsupported(format!("{} structures are more than there are labels", areas.len())));
        }
        Ok(Chosen { structures: ids.into_iter().zip(areas).collect(), warnings })
    }
}

/// The closed contours of all structures, slice by slice.
fn areas(structures: &[(u16, &Structure)], grid: &Grid, warnings: &mut Vec<Warning>) -> Result<Vec<Area>> {
    let mut areas = Vec::new();
    // Contours that were moved and how far in mm at most; contours that are there twice.
    let (mut moved, mut farthest, mut repeated) = (0, 0.0_f64, 0);
    let step = grid.spacing()[2];
    for (n, &(_, structure)) in structures.iter().enumerate() {
        let mut slices: BTreeMap<usize, Vec<Vec<Point>>> = BTreeMap::new();
        for contour in structure.contours.iter().filter(|contour| contour.is_closed()) {
            let Some((k, off, points)) = place(contour, grid)
                .map_err(|message| Error::unsupported(format!("a contour of {:?} {message}", structure.name)))?
            else {
                continue;
            };
            moved += usize::from(off > ON_SLICE);
            farthest = farthest.max(off * step);
            let slice = slices.entry(k).or_default();
            if slice.contains(&points) {
                repeated += 1;
            } else {
                slice.push(points);
            }
        }
        areas.extend(slices.into_iter().map(|(k, contours)| Area { structure: n, k, contours }));
    }
    if moved > 0 {
        let message = format!("{moved} contours lie up to {farthest:.3} mm off the slices and are moved to them");
        warnings.push(Warning::new("contours-moved", message));
    }
    if repeated > 0 {
        let message = format!("{repeated} contours are there twice: one of each is kept");
        warnings.push(Warning::new("repeated-contours", message));
    }
    Ok(areas)
}

/// The slice that a contour lies on, how many steps it is off, and its points in columns and rows; `None` for one without
/// points.
fn place(contour: &Contour, grid: &Grid) -> std::result::Result<Option<(usize, f64, Vec<Point>)>, String> {
    let ras = |[x, y, z]: [f64; 3]| [-x, -y, z];
    let indices: Vec<_> = contour.points.iter().map(|&point| grid.world_to_index(ras(point))).collect();
    let Some(first) = indices.first() else { return Ok(None) };
    let along = indices.iter().map(|index| index[2]);
    let (low, high) = along.fold((first[2], first[2]), |(low, high), k| (low.min(k), high.max(k)));
    let (middle, last) = (0.5 * (low + high), float(grid.shape()[2] - 1));
    let nearest = middle.round().clamp(0.0, last);
    let off = (middle - nearest).abs();
    if high - low > FLAT {
        return Err(format!("crosses slices: it runs from slice {:.2} to {:.2} of the images", low + 1.0, high + 1.0));
    }
    let [x, y, z] = contour.points[0];
    if middle < -0.5 || middle > last + 0.5 {
        return Err(format!("lies outside the images, at {x:.2}, {y:.2}, {z:.2} mm (LPS): images are missing"));
    }
    if off > NEAR_SLICE {
        return Err(format!("lies between slices of the images, at {x:.2}, {y:.2}, {z:.2} mm (LPS)"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the slices")]
    let k = nearest as usize;
    Ok(Some((k, off, indices.into_iter().map(|[i, j, _]| [i, j]).collect())))
}

fn overlap_warning(table: &LabelTable, overlaps: Overlaps) -> Option<Warning> {
    let mut pairs: Vec<_> = overlaps.into_iter().collect();
    pairs.sort_by_key(|&(pair, count)| (Reverse(count), pair));
    let text = |&((large, small), count): &((u16, u16), usize)| {
        format!("{:?} lost {count} voxels to {:?}", table.name(large), table.name(small))
    };
    let texts: Vec<_> = pairs.iter().take(NAMED).map(text).collect();
    let more = if pairs.len() > NAMED { format!(" and {} more pairs", pairs.len() - NAMED) } else { String::new() };
    let message =
        format!("structures overlap and a voxel has one label, that of the smaller one: {}", texts.join(", "));
    (!texts.is_empty()).then(|| Warning::new("overlapping-structures", message + &more))
}

#[expect(clippy::cast_precision_loss, reason = "numbers of slices are far below 2^53")]
fn float(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Affine;

    /// 10 x 8 x 3 voxels of 2 x 3 x 4 mm whose axes are LPS, as those of an axial series.
    fn grid() -> Grid {
        let columns = [[-2.0, 0.0, 0.0], [0.0, -3.0, 0.0], [0.0, 0.0, 4.0]];
        Grid::new([10, 8, 3], Affine::from_columns(columns, [10.0, 20.0, 30.0]).unwrap()).unwrap()
    }

    /// A rectangle of pixels, along their outer edges, `k` slices up.
    fn rectangle([left, top]: [f64; 2], [right, bottom]: [f64; 2], k: f64) -> Contour {
        let corners = [[left, top], [right, top], [right, bottom], [left, bottom]];
        let point = |[i, j]: [f64; 2]| [-10.0 + 2.0 * i, -20.0 + 3.0 * j, 30.0 + 4.0 * k];
        Contour { kind: "CLOSED_PLANAR".to_owned(), points: corners.map(point).to_vec() }
    }

    fn set(structures: Vec<(i64, &str, Vec<Contour>)>) -> StructureSet {
        let structure =
            |(number, name, contours): (i64, &str, _)| Structure { number, name: name.to_owned(), rgb: None, contours };
        StructureSet {
            label: String::new(),
            series_uids: Vec::new(),
            frame_of_reference_uids: Vec::new(),
            structures: structures.into_iter().map(structure).collect(),
        }
    }

    fn codes(warnings: &[Warning]) -> Vec<&str> {
        warnings.iter().map(|warning| warning.code).collect()
    }

    #[test]
    fn inner_contours_are_holes_and_smaller_structures_stay() {
        let body = vec![
            rectangle([0.5, 0.5], [8.5, 6.5], 1.0),
            rectangle([2.5, 2.5], [4.5, 4.5], 1.004),
            rectangle([0.5, 0.5], [8.5, 6.5], 2.1),
            rectangle([0.5, 0.5], [8.5, 6.5], 2.1),
        ];
        let point = Contour { kind: "POINT".to_owned(), points: vec![[0.0; 3]] };
        let organ = vec![rectangle([4.5, 2.5], [6.5, 4.5], 1.0)];
        for bodies_first in [true, false] {
            let mut structures = vec![(7, "Body", body.clone()), (3, "Organ", organ.clone())];
            if !bodies_first {
                structures.reverse();
            }
            structures.push((9, "Isocenter", vec![point.clone()]));
            let (labels, warnings) = set(structures).rasterize(&grid(), None).unwrap();
            assert_eq!(
                codes(&warnings),
                ["open-contours", "contours-moved", "repeated-contours", "overlapping-structures"]
            );
            let count =
                |id: u16, k: usize| labels.ids.data()[80 * k..80 * (k + 1)].iter().filter(|v| **v == id).count();
            assert_eq!([count(7, 0), count(7, 1), count(7, 2)], [0, 48 - 4 - 4, 48]);
            assert_eq!([count(3, 1), count(9, 1)], [4, 0]);
            assert_eq!(labels.ids.view()[[5, 3, 1]], 3);
            assert_eq!((labels.table.name(3).as_str(), labels.table.labels().len()), ("Organ", 2));
        }
    }

    #[test]
    fn structures_are_chosen_by_name_and_numbered_where_their_numbers_are_no_ids() {
        let one = || vec![rectangle([0.5, 0.5], [2.5, 2.5], 0.0)];
        let all = set(vec![(0, "A", one()), (70_000, "B", one())]);
        let (labels, _) = all.rasterize(&grid(), Some(&["b".to_owned()])).unwrap();
        assert_eq!((labels.table.labels()[0].id, labels.table.name(1).as_str()), (1, "B"));
        let (labels, warnings) = all.rasterize(&grid(), None).unwrap();
        assert_eq!((labels.table.labels().len(), codes(&warnings)), (2, vec!["overlapping-structures"]));
        assert!(all.rasterize(&grid(), Some(&["C".to_owned()])).unwrap_err().message().contains("\"A\", \"B\""));
        assert!(set(vec![(1, "A", vec![])]).rasterize(&grid(), None).is_err());
    }

    #[test]
    fn contours_off_the_slices_are_refused() {
        for (k, words) in [(-0.6, "outside the images"), (2.7, "outside the images"), (0.4, "between slices")] {
            let error = set(vec![(1, "A", vec![rectangle([1.0, 1.0], [3.0, 3.0], k)])]).rasterize(&grid(), None);
            assert!(error.unwrap_err().message().contains(words), "{k}");
        }
        let mut slanted = rectangle([1.0, 1.0], [3.0, 3.0], 1.0);
        slanted.points[2][2] += 2.0;
        let error = set(vec![(1, "A", vec![slanted])]).rasterize(&grid(), None).unwrap_err();
        assert!(error.message().contains("crosses slices: it runs from slice 2.00 to 2.50"), "{error}");
    }
}
