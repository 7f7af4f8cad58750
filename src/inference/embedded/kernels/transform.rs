//! The transforms of minimal filtering, for each instruction set.
#![expect(unsafe_code, reason = "intrinsics and pointers without bounds checks in the innermost loop")]
#![allow(clippy::needless_range_loop, reason = "loops over registers, unrolled by the compiler")]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m512;

use super::minimal::PLACES;
use super::tile::Finish;
#[cfg(target_arch = "x86_64")]
use super::vector::x86;
use super::vector::{Plain, Vector};
use super::{LANES, Lanes, Simd};

/// Pairs of columns of four rows to the places of their transform.
#[derive(Debug)]
pub(super) struct Forward<'a> {
    /// Of `2 * pairs + 2` voxels at least.
    pub(super) rows: [&'a [Lanes]; 4],
    pub(super) pairs: usize,
    /// Voxels from one place to the next.
    pub(super) stride: usize,
}

/// Sums per place to one of the two rows of voxels.
#[derive(Debug)]
pub(super) struct Backward<'a> {
    /// The first pair of the first place.
    pub(super) sums: &'a [Lanes],
    /// Lanes from one place to the next.
    pub(super) stride: usize,
    /// The second row.
    pub(super) second: bool,
    pub(super) bias: Lanes,
    /// What is done to voxels before they are stored.
    pub(super) finish: Finish,
}

/// # Safety
/// The instructions of `V` exist; rows hold `2 * pairs + 2` voxels, and `output` `15 * stride + pairs`.
#[inline(always)]
unsafe fn there<V: Vector>(work: &Forward<'_>, output: *mut Lanes) {
    let [a, b, c, d] = [0, 1, 2, 3].map(|r| work.rows[r].as_ptr());
    for pair in 0..work.pairs {
        // SAFETY: the caller vouches for rows, places and instructions.
        unsafe {
            let mut half = [[V::splat(0.0); 4]; 4];
            for i in 0..4 {
                let at = 2 * pair + i;
                let column = line([V::load(a.add(at)), V::load(b.add(at)), V::load(c.add(at)), V::load(d.add(at))]);
                for r in 0..4 {
                    half[r][i] = column[r];
                }
            }
            for r in 0..4 {
                let places = line(half[r]);
                for i in 0..4 {
                    places[i].store(output.add((4 * r + i) * work.stride + pair));
                }
            }
        }
    }
}

/// # Safety
/// The instructions of `V` exist.
#[inline(always)]
unsafe fn line<V: Vector>(x: [V; 4]) -> [V; 4] {
    // SAFETY: the caller vouches for the instructions.
    unsafe { [x[0].sub(x[2]), x[1].add(x[2]), x[2].sub(x[1]), x[1].sub(x[3])] }
}

/// Returns whether all voxels are finite before `finish`.
///
/// # Safety
/// The instructions of `V` exist; places have a sum for every pair of `voxels`.
#[inline(always)]
unsafe fn back<V: Vector, const SECOND: bool>(work: &Backward<'_>, voxels: &mut [Lanes]) -> bool {
    let (step, output) = (work.stride, voxels.as_mut_ptr());
    let mut check = Lanes::default();
    // SAFETY: the caller vouches for the instructions and for the sums, of which three rows of four places are read;
    // voxels are written inside their slice.
    unsafe {
        let first = work.sums.as_ptr().add(if SECOND { 4 * step } else { 0 });
        let (zero, bias) = (V::splat(0.0), V::load(&raw const work.bias));
        let mut odd = zero;
        for pair in 0..voxels.len().div_ceil(2) {
            let mut s = [zero; 4];
            for c in 0..4 {
                let at = first.add(c * step + pair);
                let (x, y, z) = (V::load(at), V::load(at.add(4 * step)), V::load(at.add(8 * step)));
                s[c] = if SECOND { x.sub(y).sub(z) } else { x.add(y).add(z) };
            }
            let (x, y) = (s[0].add(s[1]).add(s[2]).add(bias), s[1].sub(s[2]).sub(s[3]).add(bias));
            odd = odd.add_product(x, zero).add_product(y, zero);
            finished(x, work.finish).store(output.add(2 * pair));
            if 2 * pair + 1 < voxels.len() {
                finished(y, work.finish).store(output.add(2 * pair + 1));
            }
        }
        odd.store(&raw mut check);
    }
    check.0.iter().all(|value| *value == 0.0)
}

/// # Safety
/// The instructions of `V` exist.
#[inline(always)]
unsafe fn finished<V: Vector>(value: V, finish: Finish) -> V {
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        match finish {
            Finish::Nothing => value,
            Finish::Relu => value.relu(),
            Finish::LeakyRelu(slope) => value.leaky_relu(V::splat(slope)),
        }
    }
}

/// Compiles a call of a function over vectors with the named instructions.
macro_rules! compiled {
    ($features:literal, ($($arg:ident: $type:ty),*) -> $result:ty, $body:expr) => {{
        /// # Safety
        /// The instructions exist; the rest as for the function called.
        #[target_feature(enable = $features)]
        unsafe fn compiled($($arg: $type),*) -> $result {
            // SAFETY: the attribute above provides the instructions; the rest is the caller's.
            unsafe { $body }
        }
        // SAFETY: a `Simd` is only made for instructions that were found; the rest was checked before.
        unsafe { compiled($($arg),*) }
    }};
}

/// Transforms into `output`: places of voxels of sixteen channels, `stride` voxels apart.
pub(super) fn forward(simd: Simd, work: &Forward<'_>, output: &mut [f32]) {
    let reach = (PLACES - 1) * work.stride + work.pairs;
    assert!(output.len() >= reach * LANES && output.as_ptr().cast::<Lanes>().is_aligned(), "places do not fit");
    assert!(work.rows.iter().all(|row| row.len() >= 2 * work.pairs + 2), "a transform reaches outside its input");
    let output: *mut Lanes = output.as_mut_ptr().cast();
    match simd {
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => {
            compiled!("avx512f", (work: &Forward<'_>, output: *mut Lanes) -> (), there::<__m512>(work, output))
        }
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => {
            compiled!("avx2,fma", (work: &Forward<'_>, output: *mut Lanes) -> (), there::<x86::Pair>(work, output))
        }
        // SAFETY: any processor has these instructions; rows and places were checked.
        _ => unsafe { there::<Plain>(work, output) },
    }
}

/// Transforms sums back to a row of voxels; says whether all of them are finite.
pub(super) fn backward(simd: Simd, work: &Backward<'_>, voxels: &mut [Lanes]) -> bool {
    let reach = (PLACES - 1) * work.stride + voxels.len().div_ceil(2);
    assert!(work.sums.len() >= reach, "a transform reaches outside its sums");
    macro_rules! version {
        ($features:literal, $vector:ty, $second:literal) => {
            compiled!($features, (work: &Backward<'_>, voxels: &mut [Lanes]) -> bool, back::<$vector, $second>(work, voxels))
        };
    }
    match (simd, work.second) {
        #[cfg(target_arch = "x86_64")]
        (Simd::Avx512, false) => version!("avx512f", __m512, false),
        #[cfg(target_arch = "x86_64")]
        (Simd::Avx512, true) => version!("avx512f", __m512, true),
        #[cfg(target_arch = "x86_64")]
        (Simd::Avx2, false) => version!("avx2,fma", x86::Pair, false),
        #[cfg(target_arch = "x86_64")]
        (Simd::Avx2, true) => version!("avx2,fma", x86::Pair, true),
        // SAFETY: any processor has these instructions; the sums were checked.
        (_, false) => unsafe { back::<Plain, false>(work, voxels) },
        // SAFETY: as above.
        (_, true) => unsafe { back::<Plain, true>(work, voxels) },
    }
}
