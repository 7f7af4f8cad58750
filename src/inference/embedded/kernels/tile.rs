//! The inner loop of every dense convolution: a tile of voxels times 16 or 32 output channels, kept in registers.
//!
//! For voxels t and output channels m: `y[t][m] += sum over taps and channels of w[tap][c][m] * x[tap + t][c]`, in that
//! order, so that a value does not depend on the tile it falls into.
#![expect(unsafe_code, reason = "intrinsics and pointers without bounds checks in the innermost loop")]
#![allow(clippy::needless_range_loop, reason = "loops over registers, unrolled by the compiler")]

use super::half::HALVES;
use super::{LANES, Lanes, Simd};

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

/// Sixteen values in registers.
trait Vector: Copy {
    /// # Safety
    /// The instructions of the implementation exist.
    unsafe fn splat(value: f32) -> Self;
    /// # Safety
    /// As `splat`; `from` is readable.
    unsafe fn load(from: *const Lanes) -> Self;
    /// # Safety
    /// As `splat`; `to` is writable.
    unsafe fn store(self, to: *mut Lanes);
    /// `self + a * b`
    /// # Safety
    /// As `splat`.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    /// `max(self, 0)`; NaN stays.
    /// # Safety
    /// As `splat`.
    unsafe fn relu(self) -> Self;
    /// `slope * self` below zero; NaN stays.
    /// # Safety
    /// As `splat`.
    unsafe fn leaky_relu(self, slope: Self) -> Self;
}

#[derive(Clone, Copy)]
struct Plain([f32; LANES]);

impl Vector for Plain {
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; LANES])
    }
    #[inline(always)]
    unsafe fn load(from: *const Lanes) -> Self {
        // SAFETY: the caller vouches for `from`.
        Self(unsafe { (*from).0 })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut Lanes) {
        // SAFETY: the caller vouches for `to`.
        unsafe { (*to).0 = self.0 }
    }
    #[inline(always)]
    unsafe fn add_product(mut self, a: Self, b: Self) -> Self {
        for i in 0..LANES {
            self.0[i] = if cfg!(target_arch = "aarch64") {
                a.0[i].mul_add(b.0[i], self.0[i])
            } else {
                self.0[i] + a.0[i] * b.0[i]
            };
        }
        self
    }
    #[inline(always)]
    unsafe fn relu(self) -> Self {
        Self(self.0.map(|x| if x < 0.0 { 0.0 } else { x }))
    }
    #[inline(always)]
    unsafe fn leaky_relu(mut self, slope: Self) -> Self {
        for i in 0..LANES {
            self.0[i] = if self.0[i] < 0.0 { slope.0[i] * self.0[i] } else { self.0[i] };
        }
        self
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Lanes, Vector};

    impl Vector for __m512 {
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: the caller has AVX-512 F.
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(from: *const Lanes) -> Self {
            // SAFETY: the caller has AVX-512 F and vouches for `from`, whose type is aligned to 64.
            unsafe { _mm512_load_ps(from.cast()) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut Lanes) {
            // SAFETY: as in `load`.
            unsafe { _mm512_store_ps(to.cast(), self) }
        }
        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: the caller has AVX-512 F.
            unsafe { _mm512_fmadd_ps(a, b, self) }
        }
        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // SAFETY: the caller has AVX-512 F. Of a NaN and a number, `max` gives the second operand.
            unsafe { _mm512_max_ps(_mm512_setzero_ps(), self) }
        }
        #[inline(always)]
        unsafe fn leaky_relu(self, slope: Self) -> Self {
            // SAFETY: the caller has AVX-512 F.
            unsafe {
                let below = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self, _mm512_setzero_ps());
                _mm512_mask_mul_ps(self, below, self, slope)
            }
        }
    }

    /// Sums in 32 bit of products of bfloat16: a place of 32 bit holds two channels.
    #[derive(Clone, Copy)]
    pub(super) struct Half(__m512);

    impl Vector for Half {
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: the caller has AVX-512 F; a broadcast does not look at the bits.
            Self(unsafe { _mm512_set1_ps(value) })
        }
        #[inline(always)]
        unsafe fn load(from: *const Lanes) -> Self {
            // SAFETY: as for `__m512`.
            Self(unsafe { __m512::load(from) })
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut Lanes) {
            // SAFETY: as for `__m512`.
            unsafe { self.0.store(to) }
        }
        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: the caller has AVX-512 BF16; all vectors of 512 bits are valid for each other's type.
            unsafe { Self(_mm512_dpbf16_ps(self.0, std::mem::transmute(a.0), std::mem::transmute(b.0))) }
        }
        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // SAFETY: the caller has AVX-512 F.
            Self(unsafe { self.0.relu() })
        }
        #[inline(always)]
        unsafe fn leaky_relu(self, slope: Self) -> Self {
            // SAFETY: the caller has AVX-512 F.
            Self(unsafe { self.0.leaky_relu(slope.0) })
        }
    }

    #[derive(Clone, Copy)]
    pub(super) struct Pair(__m256, __m256);

    impl Vector for Pair {
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: the caller has AVX2 and FMA.
            unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
        }
        #[inline(always)]
        unsafe fn load(from: *const Lanes) -> Self {
            // SAFETY: the caller has AVX2 and FMA and vouches for 16 values at `from`, aligned to 64.
            unsafe { Self(_mm256_load_ps(from.cast()), _mm256_load_ps(from.cast::<f32>().add(8))) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut Lanes) {
            // SAFETY: as in `load`.
            unsafe {
                _mm256_store_ps(to.cast(), self.0);
                _mm256_store_ps(to.cast::<f32>().add(8), self.1);
            }
        }
        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: the caller has AVX2 and FMA.
            unsafe { Self(_mm256_fmadd_ps(a.0, b.0, self.0), _mm256_fmadd_ps(a.1, b.1, self.1)) }
        }
        #[inline(always)]
        unsafe fn relu(self) -> Self {
            // SAFETY: the caller has AVX2. Of a NaN and a number, `max` gives the second operand.
            unsafe {
                let zero = _mm256_setzero_ps();
                Self(_mm256_max_ps(zero, self.0), _mm256_max_ps(zero, self.1))
            }
        }
        #[inline(always)]
        unsafe fn leaky_relu(self, slope: Self) -> Self {
            // SAFETY: the caller has AVX2; the sign bit of a lane chooses, and of NaN it does not matter.
            unsafe {
                let choose = |x, s| {
                    let below = _mm256_cmp_ps::<_CMP_LT_OQ>(x, _mm256_setzero_ps());
                    _mm256_blendv_ps(x, _mm256_mul_ps(x, s), below)
                };
                Self(choose(self.0, slope.0), choose(self.1, slope.1))
            }
        }
    }
}

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
    ($find:ident, $vector:ty, $features:tt, $blocks:literal, [$($voxels:literal),*]) => {
        fn $find(voxel_step: usize) -> &'static [Kernel] {
            match voxel_step {
                LANES => const { &[$(entry!($vector, $features, LANES, $blocks, $voxels)),*] },
                HALVES => const { &[$(entry!($vector, $features, HALVES, $blocks, $voxels)),*] },
                1 => const { &[$(entry!($vector, $features, 1, $blocks, $voxels)),*] },
                _ => const { &[$(entry!($vector, $features, 0, $blocks, $voxels)),*] },
            }
        }
    };
}

table!(portable, Plain, [], 1, [1, 2, 3, 4, 5, 6]);
#[cfg(target_arch = "x86_64")]
table!(avx2, x86::Pair, ["avx2,fma"], 1, [1, 2, 3, 4, 5, 6]);
#[cfg(target_arch = "x86_64")]
table!(avx512, std::arch::x86_64::__m512, ["avx512f"], 1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
#[cfg(target_arch = "x86_64")]
table!(avx512_two, std::arch::x86_64::__m512, ["avx512f"], 2, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);

#[cfg(target_arch = "x86_64")]
table!(half, x86::Half, ["avx512f,avx512bf16"], 1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
#[cfg(target_arch = "x86_64")]
table!(half_two, x86::Half, ["avx512f,avx512bf16"], 2, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);

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
