//! What each class looks like in a scan.

use rayon::prelude::*;

use super::surroundings::Surroundings;
use crate::error::Result;
use crate::limits;

/// Fewest voxels that tell what a class looks like.
const LEAST: usize = 30;
/// A standard deviation is this many median absolute deviations of a normal distribution.
const DEVIATIONS: f32 = 1.4826;
/// A class is not taken to be more even than this part of what is usual in the scan.
const LEAST_SPREAD: f32 = 0.5;

/// Middle and spread of the intensities of a class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Look {
    /// The median.
    pub(super) middle: f32,
    /// The median absolute deviation as a standard deviation.
    pub(super) spread: f32,
}

/// The intensities of one class: inside it, and at its edges.
#[derive(Debug, Default)]
struct Values {
    inside: Vec<f32>,
    edge: Vec<f32>,
}

/// The look of each class, from the voxels of `labels` that have no other label around them, or from all where those are
/// few; `None` where there is hardly a voxel.
///
/// `class` gives the class of an id and `alike` the class whose look it shares. `image` are the voxels' intensities.
pub(super) fn looks(
    labels: Surroundings<'_>,
    image: &[f32],
    class: &[usize],
    alike: &[usize],
) -> Result<Vec<Option<Look>>> {
    let [ni, nj, nk] = labels.shape;
    let of = |id: u16| alike[class[usize::from(id)]];
    let mut values = Vec::new();
    values.resize_with(alike.len(), Values::default);
    let (mut columns, mut edges) = (limits::zeroed(ni, "a row")?, limits::zeroed(ni, "a row")?);
    for (k, j) in itertools::iproduct!(0..nk, 0..nj) {
        labels.edges(j, k, &mut columns, &mut edges);
        let row = (k * nj + j) * ni..(k * nj + j + 1) * ni;
        let (ids, image) = (&labels.ids[row.clone()], &image[row]);
        let mut start = 0;
        while start < ni {
            let (id, edge) = (ids[start], edges[start]);
            let alike = ids[start..].iter().zip(&edges[start..]).take_while(|&pair| pair == (&id, &edge));
            let stretch = start..start + alike.count();
            let Values { inside, edge: beside } = &mut values[of(id)];
            let values = if edge { beside } else { inside };
            values.extend(image[stretch.clone()].iter().filter(|value| value.is_finite()));
            start = stretch.end;
        }
    }
    let mut looks: Vec<Option<Look>> = values.into_par_iter().map(Values::look).collect();
    let mut spreads: Vec<f32> = looks.iter().skip(1).flatten().map(|look| look.spread).collect();
    let least = LEAST_SPREAD * median(&mut spreads).unwrap_or(0.0);
    for look in looks.iter_mut().flatten() {
        look.spread = look.spread.max(least);
    }
    Ok((0..alike.len()).map(|class| looks[alike[class]].filter(|look| look.spread > 0.0)).collect())
}

impl Values {
    fn look(mut self) -> Option<Look> {
        if self.inside.len() < LEAST {
            self.inside.append(&mut self.edge);
        }
        let mut values = self.inside;
        if values.len() < LEAST {
            return None;
        }
        let middle = median(&mut values)?;
        values.iter_mut().for_each(|value| *value = (*value - middle).abs());
        Some(Look { middle, spread: DEVIATIONS * median(&mut values)? })
    }
}

/// The lower median.
fn median(values: &mut [f32]) -> Option<f32> {
    let at = values.len().checked_sub(1)? / 2;
    Some(*values.select_nth_unstable_by(at, f32::total_cmp).1)
}
