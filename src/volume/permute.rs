//! Axis permutation with flips over i-fastest memory.

use rayon::prelude::*;

use crate::geometry::AxisMap;

/// Side of the square block in which a transposition walks, so that both arrays stay in cache.
const BLOCK: usize = 32;

/// `data` of old shape `old`, reordered by `map`.
pub(super) fn permute<T: Copy + Default + Send + Sync>(data: &[T], old: [usize; 3], map: AxisMap) -> Vec<T> {
    let mut out = vec![T::default(); data.len()];
    permute_into(data, old, map, &mut out);
    out
}

/// Writes `data` of old shape `old`, reordered by `map`, to `out`, which holds as many values.
pub(crate) fn permute_into<T: Copy + Send + Sync>(data: &[T], old: [usize; 3], map: AxisMap, out: &mut [T]) {
    let new = map.shape(old);
    let stride_of = [1, old[0], old[0] * old[1]];
    let stride = map.from.map(|axis| stride_of[axis]);
    let start: usize = (0..3).map(|a| if map.flip[a] { (new[a] - 1) * stride[a] } else { 0 }).sum();
    // Position in the old array of new index (i, j, k): one wrapping walk per axis.
    let step = |a: usize, n: usize| {
        if map.flip[a] { (n * stride[a]).wrapping_neg() } else { n * stride[a] }
    };
    let plane = new[0] * new[1];
    if plane == 0 {
        return;
    }
    let slab = if map.from[2] == 0 { BLOCK } else { 1 };
    out.par_chunks_mut(plane * slab).enumerate().for_each(|(chunk, out)| {
        let k0 = chunk * slab;
        let depth = out.len() / plane;
        for j in 0..new[1] {
            let j_at = start.wrapping_add(step(1, j));
            for i0 in (0..new[0]).step_by(BLOCK) {
                let i1 = (i0 + BLOCK).min(new[0]);
                for k in 0..depth {
                    let at = j_at.wrapping_add(step(2, k0 + k));
                    let row = &mut out[k * plane + j * new[0]..][i0..i1];
                    for (n, value) in row.iter_mut().enumerate() {
                        *value = data[at.wrapping_add(step(0, i0 + n))];
                    }
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Direction, Orientation};

    #[test]
    fn every_orientation_agrees_with_the_definition_and_round_trips() {
        let old = [3, 40, 5];
        let data: Vec<u32> = (0..600).collect();
        let mut seen = 0;
        for axes in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            for signs in 0..8 {
                let d: Vec<_> = (0..3).map(|a| Direction::from_world(axes[a], signs >> a & 1 == 1)).collect();
                let target = Orientation::new([d[0], d[1], d[2]]).unwrap();
                let map = Orientation::RAS.to(target);
                let new = permute(&data, old, map);
                let shape = map.shape(old);
                for k in 0..shape[2] {
                    for j in 0..shape[1] {
                        for i in 0..shape[0] {
                            let mut at = [0; 3];
                            for (a, n) in [i, j, k].into_iter().enumerate() {
                                at[map.from[a]] = if map.flip[a] { shape[a] - 1 - n } else { n };
                            }
                            let want = data[at[0] + old[0] * (at[1] + old[1] * at[2])];
                            assert_eq!(new[i + shape[0] * (j + shape[1] * k)], want);
                        }
                    }
                }
                assert_eq!(permute(&new, shape, map.inverse()), data);
                seen += 1;
            }
        }
        assert_eq!(seen, 48);
    }
}
