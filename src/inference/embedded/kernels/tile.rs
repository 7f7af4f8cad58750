//! The inner loop of every dense convolution: a tile of voxels times 16 or 32 output channels, kept in registers.
//!
//! For voxels t and output channels m: `y[t][m] += sum over taps and channels of w[tap][c][m] * x[tap + t][c]`, in that
//! order, so that a value does not depend on the tile it falls into.
#![expect(unsafe_code, reason = "intrinsics and pointers without bounds checks in the innermost loop")]
#![allow(clippy::needless_range_loop, reason = "loops over registers, unrolled by the compiler")]

use super::half::HALVES;
#[cfg(target_arch = "x86_64")]
use super::vector::x86;
use super::vector::{Plain, Vector};
use super::{LANES, Lanes, Simd};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m512;

/// One tap of a kernel: where its input and its weights start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tap {
    /// Values from [`Tile::input`].
    pub(super) input: isize,
    /// Lanes from [`Tile::weights`].
    pub(super) weight: usize,
}

/// What happens to the sums before they are stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Finish {
    Nothing,
    /// `max(x, 0)`
    Relu,
    /// `x < 0 ? slope x : x`
    LeakyRelu(f32),
}

/// What a tile reads and writes.
#[derive(Debug)]
pub(super) struct Tile<'a> {
    /// Input of the first voxel for a tap of offset zero.
    pub(super) input: *const f32,
    /// Values between the inputs of neighboring output voxels.
    pub(super) voxel_step: usize,
    /// Values between input channels.
    pub(super) channel_step: usize,
    /// Input channels.
    pub(super) channels: usize,
    /// Taps in the order of summation.
    pub(super) taps: &'a [Tap],
    /// `[channel][block]` lanes at each tap's offset.
    pub(super) weights: *const Lanes,
    /// Start of the sums, one per block; null continues the sums that the output holds.
    pub(super) bias: *const Lanes,
    /// What is done to finished sums.
    pub(super) finish: Finish,
    /// The first output voxel of the first block.
    pub(super) output: *mut Lanes,
    /// Lanes between output voxels.
    pub(super) output_step: usize,
    /// Lanes between output blocks.
    pub(super) block_step: usize,
}

/// A compiled tile: what it needs is said at [`kernels`].
pub(super) type Kernel = unsafe fn(&Tile<'_>);

/// `STEP` is the voxel step where it is known when compiling, else 0.
///
/// # Safety
/// As for [`kernels`], with the instructions of `V`.
#[inline(always)]
unsafe fn sum<V: Vector, const STEP: usize, const B: usize, const T: usize>(tile: &Tile<'_>) {
    // SAFETY: the caller vouches for all that the fields of `tile` span for `B` blocks and `T` voxels.
    unsafe {
        let step = if STEP == 0 { tile.voxel_step } else { STEP };
        let mut sums = [[V::splat(0.0); T]; B];
        for b in 0..B {
            for t in 0..T {
                sums[b][t] = if tile.bias.is_null() {
                    V::load(tile.output.add(b * tile.block_step + t * tile.output_step))
                } else {
                    V::load(tile.bias.add(b))
                };
            }
        }
        for tap in tile.taps {
            let mut input = tile.input.offset(tap.input);
            let mut weight = tile.weights.add(tap.weight);
            for _ in 0..tile.channels {
                let mut w = [V::splat(0.0); B];
                for b in 0..B {
                    w[b] = V::load(weight.add(b));
                }
                for t in 0..T {
                    let x = V::splat(*input.add(t * step));
                    for b in 0..B {
                        sums[b][t] = sums[b][t].add_product(w[b], x);
                    }
                }
                input = input.wrapping_add(if STEP == LANES { 1 } else { tile.channel_step });
                weight = weight.wrapping_add(B);
            }
        }
        for b in 0..B {
            for t in 0..T {
                sums[b][t].store(tile.output.add(b * tile.block_step + t * tile.output_step));
            }
        }
        finish::<V>(tile, B, T);
    }
}

/// Finishes stored sums. Done on registers, the compiler would no longer keep all sums in them.
///
/// # Safety
/// As for [`sum`] with `blocks` and `voxels` as `B` and `T`.
#[inline(always)]
unsafe fn finish<V: Vector>(tile: &Tile<'_>, blocks: usize, voxels: usize) {
    let Finish::LeakyRelu(slope) = tile.finish else {
        if tile.finish == Finish::Relu {
            // SAFETY: the caller vouches for the outputs.
            unsafe { change(tile, blocks, voxels, |sum: V| sum.relu()) };
        }
        return;
    };
    // SAFETY: as above.
    unsafe {
        let slope = V::splat(slope);
        change(tile, blocks, voxels, |sum: V| sum.leaky_relu(slope));
    }
}

/// # Safety
/// As for [`finish`].
#[inline(always)]
unsafe fn change<V: Vector>(tile: &Tile<'_>, blocks: usize, voxels: usize, f: impl Fn(V) -> V) {
    for b in 0..blocks {
        for t in 0..voxels {
            // SAFETY: the caller vouches for the outputs.
            unsafe {
                let output = tile.output.add(b * tile.block_step + t * tile.output_step);
                f(V::load(output)).store(output);
            }
        }
    }
}

/// One table entry: the generic loop compiled with the named instructions.
macro_rules! entry {
    ($vector:ty, [$features:literal], $step:expr, $blocks:literal, $voxels:literal) => {{
        /// # Safety
        /// As for [`kernels`].
        #[target_feature(enable = $features)]
        unsafe fn compiled(tile: &Tile<'_>) {
            // SAFETY: the attribute above provides the instructions; the rest is the caller's.
            unsafe { sum::<$vector, { $step }, $blocks, $voxels>(tile) }
        }
        compiled as Kernel
    }};
    ($vector:ty, [], $step:expr, $blocks:literal, $voxels:literal) => {
        sum::<$vector, { $step }, $blocks, $voxels> as Kernel
    };
}

/// A function that gives the kernels for a voxel step, one per number of voxels from one on.
macro_rules! table {
    ($find:ident, $vector:ty, $features:tt, $blocks:literal, [$($known:ident),*], $voxels:tt) => {
        fn $find(voxel_step: usize) -> &'static [Kernel] {
            match voxel_step {
                $($known => table!(@list $vector, $features, $known, $blocks, $voxels),)*
                _ => table!(@list $vector, $features, 0, $blocks, $voxels),
            }
        }
    };
    (@list $vector:ty, $features:tt, $step:expr, $blocks:literal, [$($voxels:literal),*]) => {
        const { &[$(entry!($vector, $features, $step, $blocks, $voxels)),*] }
    };
}

/// The voxel step of plain tensors.
const SINGLE: usize = 1;

table!(portable, Plain, [], 1, [LANES, SINGLE], [1, 2, 3, 4, 5, 6]);
#[cfg(target_arch = "x86_64")]
table!(avx2, x86::Pair, ["avx2,fma"], 1, [LANES, SINGLE], [1, 2, 3, 4, 5, 6]);
#[cfg(target_arch = "x86_64")]
table!(avx512, __m512, ["avx512f"], 1, [LANES, SINGLE], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
#[cfg(target_arch = "x86_64")]
table!(avx512_two, __m512, ["avx512f"], 2, [LANES, SINGLE], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);

#[cfg(target_arch = "x86_64")]
table!(half, x86::Half, ["avx512f,avx512bf16"], 1, [HALVES], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
#[cfg(target_arch = "x86_64")]
table!(half_two, x86::Half, ["avx512f,avx512bf16"], 2, [HALVES], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);

/// [`kernels`] over pairs of bfloat16 instead of values; sound where [`super::half::available`] says so.
pub(super) fn half_kernels(blocks: usize, voxel_step: usize) -> &'static [Kernel] {
    debug_assert!(super::half::available());
    match blocks {
        #[cfg(target_arch = "x86_64")]
        1 => half(voxel_step),
        #[cfg(target_arch = "x86_64")]
        2 => half_two(voxel_step),
        _ => &[],
    }
}

/// The kernels over `blocks` blocks of output channels; that for `n` voxels is at `n - 1`.
///
/// Calling one is sound when `simd` is available here and, for each of its voxels `t`, blocks `b`, channels `c` and taps:
/// `input + tap.input + t * voxel_step + c * channel_step` is readable, `weights + tap.weight + c * blocks + b` and
/// `bias + b` (unless null) are readable, and `output + t * output_step + b * block_step` is writable by nobody else.
pub(super) fn kernels(simd: Simd, blocks: usize, voxel_step: usize) -> &'static [Kernel] {
    debug_assert!(simd.available() && (1..=simd.tile_blocks()).contains(&blocks));
    match (simd, blocks) {
        #[cfg(target_arch = "x86_64")]
        (Simd::Avx512, 1) => avx512(voxel_step),
        #[cfg(target_arch = "x86_64")]
        (Simd::Avx512, _) => avx512_two(voxel_step),
        #[cfg(target_arch = "x86_64")]
        (Simd::Avx2, _) => avx2(voxel_step),
        _ => portable(voxel_step),
    }
}
