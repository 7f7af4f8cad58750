//! Which instructions the kernels use.

use crate::error::{Error, Result};

/// Instruction sets with kernels of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Simd {
    /// AVX-512 F.
    Avx512,
    /// AVX2 with FMA.
    Avx2,
    /// What the compiler makes of plain loops for the target it was built for.
    Portable,
}

impl Simd {
    /// The name that `UNET_VOL_SIMD` takes and the manifest shows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
        }
    }

    /// True when this processor has the instructions.
    pub(crate) fn available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => is_x86_feature_detected!("avx512f") && Self::Avx2.available(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx512 | Self::Avx2 => false,
            Self::Portable => true,
        }
    }

    /// All that this processor has, fastest first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        [Self::Avx512, Self::Avx2, Self::Portable].into_iter().filter(|simd| simd.available())
    }

    /// The fastest one, or the one that the environment variable `UNET_VOL_SIMD` names.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Usage`] when the variable names none that this processor has.
    pub(crate) fn choose() -> Result<Self> {
        let Some(wanted) = std::env::var_os("UNET_VOL_SIMD").filter(|name| !name.is_empty()) else {
            return Ok(Self::all().next().unwrap_or(Self::Portable));
        };
        Self::all().find(|simd| wanted == simd.name()).ok_or_else(|| {
            let names = Self::all().map(Self::name).collect::<Vec<_>>().join(", ");
            Error::usage(format!("UNET_VOL_SIMD is {wanted:?}, but this processor runs {names}"))
        })
    }

    /// Blocks of sixteen output channels that a convolution's register tile spans at most.
    pub(crate) fn tile_blocks(self) -> usize {
        if self == Self::Avx512 { 2 } else { 1 }
    }

    /// Voxels of a register tile over `blocks` blocks at most.
    pub(crate) fn tile_voxels(self, blocks: usize) -> usize {
        match (self, blocks) {
            (Self::Avx512, 1) => 16,
            (Self::Avx512, _) => 14,
            _ => 6,
        }
    }
}

/// Compiles a function once per instruction set; the first argument of the made function chooses one.
macro_rules! versions {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(unsafe_code, reason = "calls of functions compiled for instructions that were found")]
        $vis fn $name(simd: $crate::inference::embedded::kernels::Simd, $($arg: $type),*) $(-> $ret)? {
            #[inline(always)]
            fn body($($arg: $type),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx2,fma")]
            fn avx512($($arg: $type),*) $(-> $ret)? { body($($arg),*) }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $type),*) $(-> $ret)? { body($($arg),*) }
            debug_assert!(simd.available());
            match simd {
                // SAFETY: a `Simd` is only made for instructions that `Simd::available` has found (`Simd::all`).
                #[cfg(target_arch = "x86_64")]
                $crate::inference::embedded::kernels::Simd::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::inference::embedded::kernels::Simd::Avx2 => unsafe { avx2($($arg),*) },
                _ => body($($arg),*),
            }
        }
    };
}
pub(crate) use versions;
