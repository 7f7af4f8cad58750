//! Holes: background that a label encloses.

use std::collections::BTreeMap;

use super::components::{Components, Connectivity};
use super::filters::Scope;
use crate::error::Result;
use crate::limits::Cancel;
use crate::volume::Volume;

/// Fills the holes of a label map in place and gives back how many holes and voxels were filled.
///
/// A hole is a 6-connected component of background that does not touch the border of the volume and whose face
/// neighbours all belong to `scope` (under [`Scope::Each`]: all to one label). It takes the id with which it shares the
/// most faces, the lower one where they tie. A binary mask comes out as from `scipy.ndimage.binary_fill_holes`.
///
/// # Errors
/// [`crate::ErrorKind::Limit`] as [`Components::new`].
pub(super) fn fill_holes(ids: &mut Volume<u16>, scope: &Scope, cancel: &Cancel) -> Result<(u64, u64)> {
    let background = Components::by_class_until((&*ids).into(), Connectivity::Six, |id| u16::from(id == 0), cancel)?;
    let filling = fillings(&background, ids, scope);
    let voxels = background.voxels();
    let filled = || filling.iter().zip(&voxels).filter(|(id, _)| **id != 0).map(|(_, &voxels)| voxels);
    let (holes, filled) = (filled().count() as u64, filled().sum());
    if holes > 0 {
        background.edit_rows(ids, |row, runs| {
            for (run, number) in runs {
                let id = filling[number as usize - 1];
                if id != 0 {
                    row[run.range()].fill(id);
                }
            }
        });
    }
    Ok((holes, filled))
}

/// The id that fills each component of the background; 0 where it is no hole.
fn fillings(background: &Components, ids: &Volume<u16>, scope: &Scope) -> Vec<u16> {
    let [ni, nj, nk] = ids.grid().shape();
    let mut open = vec![false; background.count() as usize];
    for (j, k, runs) in background.by_row() {
        let edge = j == 0 || j + 1 == nj || k == 0 || k + 1 == nk;
        for (run, number) in runs {
            open[number as usize - 1] |= edge || run.start == 0 || run.range().end == ni;
        }
    }
    let mut faces: BTreeMap<u32, BTreeMap<u16, u64>> = BTreeMap::new();
    for (j, k, runs) in background.by_row() {
        let row = (k * nj + j) * ni;
        for (run, number) in runs.filter(|(_, number)| !open[*number as usize - 1]) {
            let faces = faces.entry(number).or_default();
            let mut count = |id: u16| {
                if id != 0 {
                    *faces.entry(id).or_default() += 1;
                }
            };
            let data = ids.data();
            count(data[row + run.range().start - 1]);
            count(data[row + run.range().end]);
            for beside in [row - ni, row + ni, row - ni * nj, row + ni * nj] {
                data[beside..][run.range()].iter().for_each(|&id| count(id));
            }
        }
    }
    let mut filling = vec![0; background.count() as usize];
    for (number, faces) in faces {
        let enclosed = match scope {
            Scope::Each => faces.len() == 1,
            Scope::EachOf(_) => faces.len() == 1 && faces.keys().all(|&id| scope.holds(id)),
            _ => faces.keys().all(|&id| scope.holds(id)),
        };
        if let Some((&id, _)) = faces.iter().rev().max_by_key(|(_, count)| **count)
            && enclosed
        {
            filling[number as usize - 1] = id;
        }
    }
    filling
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Affine, Grid};

    /// A 5 x 5 x 3 block of `id` with voxel (2, 2, 1) background, and the ids of `more` written over it.
    fn block(id: u16, more: &[([usize; 3], u16)]) -> Volume<u16> {
        let mut volume = Volume::new(Grid::new([5, 5, 3], Affine::identity()).unwrap(), vec![id; 75]).unwrap();
        volume.view_mut()[[2, 2, 1]] = 0;
        for (at, id) in more {
            volume.view_mut()[*at] = *id;
        }
        volume
    }

    #[test]
    fn a_hole_within_one_label_is_filled_with_it() {
        let mut volume = block(7, &[]);
        assert_eq!(fill_holes(&mut volume, &Scope::Each, &Cancel::new()).unwrap(), (1, 1));
        assert_eq!(volume, Volume::new(*volume.grid(), vec![7; 75]).unwrap());
        assert_eq!(fill_holes(&mut volume, &Scope::Each, &Cancel::new()).unwrap(), (0, 0));
        assert_eq!(fill_holes(&mut block(7, &[]), &Scope::EachOf(vec![6]), &Cancel::new()).unwrap(), (0, 0));
    }

    #[test]
    fn a_hole_between_labels_takes_the_commonest_neighbour() {
        let between = block(7, &[([1, 2, 1], 3), ([3, 2, 1], 3)]);
        assert_eq!(fill_holes(&mut between.clone(), &Scope::Each, &Cancel::new()).unwrap(), (0, 0));
        assert_eq!(fill_holes(&mut between.clone(), &Scope::Together(vec![7]), &Cancel::new()).unwrap(), (0, 0));
        let mut filled = between;
        assert_eq!(fill_holes(&mut filled, &Scope::Foreground, &Cancel::new()).unwrap(), (1, 1));
        assert_eq!(filled.view()[[2, 2, 1]], 7);
        let mut tie = block(7, &[([1, 2, 1], 3), ([3, 2, 1], 3), ([2, 1, 1], 3)]);
        fill_holes(&mut tie, &Scope::Together(vec![3, 7]), &Cancel::new()).unwrap();
        assert_eq!(tie.view()[[2, 2, 1]], 3);
    }

    #[test]
    fn a_tunnel_to_the_border_is_no_hole_but_a_diagonal_gap_is() {
        assert_eq!(fill_holes(&mut block(7, &[([2, 2, 0], 0)]), &Scope::Each, &Cancel::new()).unwrap(), (0, 0));
        assert_eq!(fill_holes(&mut block(7, &[([1, 1, 0], 0)]), &Scope::Each, &Cancel::new()).unwrap(), (1, 1));
    }
}
