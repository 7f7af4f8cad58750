//! Copies between plain and blocked layout, and of parts of activations.

use rayon::prelude::*;

use super::lanes::{Extent, LANES, Lanes};
use super::post::{At, Epilogue};
use super::simd::versions;
use super::transpose::transpose;

/// Runs `f` for each row of a blocked result (its voxels alone, borders zeroed), then the epilogue.
pub(super) fn each_row(output: &mut [Lanes], to: Extent, epilogue: &Epilogue<'_>, f: impl Fn(&mut [Lanes], At) + Sync) {
    output[..to.blocks() * to.block()].par_chunks_mut(to.row()).enumerate().for_each(|(index, lanes)| {
        let at = At { block: index / to.rows(), row: index % to.rows(), column: 0 };
        let (left, inner) = lanes.split_at_mut(to.left);
        let (inner, right) = inner.split_at_mut(to.width);
        left.fill(Lanes::default());
        right.fill(Lanes::default());
        f(inner, at);
        epilogue.apply(inner, at);
    });
}

/// `input` where a result starts as a copy, `None` where it is changed in place.
pub(crate) fn elementwise(
    input: Option<(&[Lanes], Extent)>,
    output: &mut [Lanes],
    to: Extent,
    epilogue: &Epilogue<'_>,
) {
    each_row(output, to, epilogue, |row, at| {
        if let Some((input, from)) = input {
            let start = at.block * from.block() + from.start(at.row);
            row.copy_from_slice(&input[start..start + row.len()]);
        }
    });
}

/// Plain `[C][D][H][row]` to blocked; channels that do not exist become zero.
pub(crate) fn to_blocked(input: &[f32], from: Extent, output: &mut [Lanes], to: Extent, epilogue: &Epilogue<'_>) {
    each_row(output, to, epilogue, |row, at| {
        row.fill(Lanes::default());
        for lane in 0..LANES.min(to.channels - at.block * LANES) {
            let start = (at.block * LANES + lane) * from.block() + from.start(at.row);
            for (lanes, &value) in row.iter_mut().zip(&input[start..start + from.width]) {
                lanes.0[lane] = value;
            }
        }
    });
}

/// Blocked to plain without borders.
pub(crate) fn to_plain(simd: super::Simd, input: &[Lanes], from: Extent, output: &mut [f32]) {
    let plane = from.voxels();
    let channels = output[..from.channels * plane].par_chunks_mut(plane * LANES);
    channels.enumerate().for_each(|(block, output)| {
        let mut channels: Vec<_> = output.chunks_mut(plane).map(|plane| plane.chunks_mut(from.width)).collect();
        for row in 0..from.rows() {
            let start = block * from.block() + from.start(row);
            let count = channels.len();
            let row = |c: usize| channels[c].next().unwrap_or_default();
            transpose(simd, &input[start..start + from.width], count, row);
        }
    });
}

/// Plain to plain with borders of zeros beside each row.
pub(crate) fn border(input: &[f32], from: Extent, output: &mut [f32], to: Extent) {
    let rows = to.channels * to.rows();
    output[..rows * to.row()].par_chunks_mut(to.row()).enumerate().for_each(|(row, output)| {
        let start = from.start(row);
        output[..to.left].fill(0.0);
        output[to.left..to.left + to.width].copy_from_slice(&input[start..start + from.width]);
        output[to.left + to.width..].fill(0.0);
    });
}

/// Copies all channels of `input` to those of `output` from `first` on, which need not be a multiple of sixteen. The
/// borders of the written blocks become zero.
pub(crate) fn copy_channels(input: &[Lanes], from: Extent, output: &mut [Lanes], to: Extent, first: usize) {
    let blocks = first / LANES..(first + from.channels).div_ceil(LANES);
    let offset = blocks.start;
    output[offset * to.block()..blocks.end * to.block()].par_chunks_mut(to.row()).enumerate().for_each(|(i, lanes)| {
        let (block, row) = (offset + i / to.rows(), i % to.rows());
        let (left, inner) = lanes.split_at_mut(to.left);
        let (inner, right) = inner.split_at_mut(to.width);
        left.fill(Lanes::default());
        right.fill(Lanes::default());
        for lane in 0..LANES {
            let Some(source) = (block * LANES + lane).checked_sub(first).filter(|&c| c < from.channels) else {
                continue;
            };
            let start = source / LANES * from.block() + from.start(row);
            for (to, from) in inner.iter_mut().zip(&input[start..start + from.width]) {
                to.0[lane] = from.0[source % LANES];
            }
        }
    });
}

/// Index of the input, per index of the output, of an axis; `None` is filled.
pub(crate) type AxisMap = Vec<Option<usize>>;

/// Takes voxels by index: crops, pads, flips and nearest-neighbor resizing. With `add`, voxels are added to what the
/// output holds.
pub(crate) fn take(
    input: &[Lanes],
    from: Extent,
    output: &mut [Lanes],
    (to, maps, fill): (Extent, &[AxisMap; 3], f32),
    epilogue: &Epilogue<'_>,
) {
    each_row(output, to, epilogue, |row, at| {
        let (d, h) = (maps[0][at.row / to.height], maps[1][at.row % to.height]);
        let (Some(d), Some(h)) = (d, h) else { return row.fill(Lanes::splat(fill)) };
        let start = at.block * from.block() + from.start(d * from.height + h);
        let input = &input[start..start + from.width];
        for (lanes, index) in row.iter_mut().zip(&maps[2]) {
            *lanes = index.map_or(Lanes::splat(fill), |index| input[index]);
        }
    });
}

/// Adds the voxels that [`take`] takes to those of `output`, where every output index has one.
pub(crate) fn add_taken(
    input: &[Lanes],
    from: Extent,
    output: &mut [Lanes],
    (to, maps): (Extent, &[AxisMap; 3]),
    epilogue: &Epilogue<'_>,
) {
    each_row(output, to, epilogue, |row, at| {
        let (Some(d), Some(h)) = (maps[0][at.row / to.height], maps[1][at.row % to.height]) else { return };
        let start = at.block * from.block() + from.start(d * from.height + h);
        add_row(epilogue.simd, row, &input[start..start + from.width], &maps[2]);
    });
}

versions! {
    fn add_row(row: &mut [Lanes], input: &[Lanes], map: &[Option<usize>]) {
        for (lanes, index) in row.iter_mut().zip(map) {
            let Some(index) = *index else { continue };
            let other = input[index];
            for i in 0..LANES {
                lanes.0[i] += other.0[i];
            }
        }
    }
}
