//! Sixteen values in registers, for each instruction set.
#![expect(unsafe_code, reason = "intrinsics")]
#![allow(clippy::needless_range_loop, reason = "loops over the lanes of several operands")]

use super::{LANES, Lanes};

/// Sixteen values in registers.
pub(super) trait Vector: Copy {
    /// # Safety
    /// The instructions of the implementation exist.
    unsafe fn splat(value: f32) -> Self;
    /// # Safety
    /// As `splat`; `from` is readable.
    unsafe fn load(from: *const Lanes) -> Self;
    /// # Safety
    /// As `splat`; `to` is writable.
    unsafe fn store(self, to: *mut Lanes);
    /// # Safety
    /// As `splat`.
    unsafe fn add(self, other: Self) -> Self;
    /// # Safety
    /// As `splat`.
    unsafe fn sub(self, other: Self) -> Self;
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

/// What the compiler makes of loops over sixteen values.
#[derive(Clone, Copy)]
pub(super) struct Plain([f32; LANES]);

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
    unsafe fn add(mut self, other: Self) -> Self {
        for i in 0..LANES {
            self.0[i] += other.0[i];
        }
        self
    }
    #[inline(always)]
    unsafe fn sub(mut self, other: Self) -> Self {
        for i in 0..LANES {
            self.0[i] -= other.0[i];
        }
        self
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
pub(super) mod x86 {
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
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the caller has AVX-512 F.
            unsafe { _mm512_add_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            // SAFETY: the caller has AVX-512 F.
            unsafe { _mm512_sub_ps(self, other) }
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
    pub(in super::super) struct Half(__m512);

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
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the caller has AVX-512 F.
            Self(unsafe { self.0.add(other.0) })
        }
        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            // SAFETY: the caller has AVX-512 F.
            Self(unsafe { self.0.sub(other.0) })
        }
        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            // SAFETY: the caller has AVX-512 BF16; any 512 bits are valid for either type.
            unsafe {
                let halves = |vector| std::mem::transmute::<__m512, __m512bh>(vector);
                Self(_mm512_dpbf16_ps(self.0, halves(a.0), halves(b.0)))
            }
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

    /// Two halves.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Pair(__m256, __m256);

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
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the caller has AVX2.
            unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
        }
        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            // SAFETY: the caller has AVX2.
            unsafe { Self(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
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
