//! How much each voxel of a patch counts where patches overlap.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::limits;

/// Weights that fall off towards the faces of a patch, where a network sees least.
///
/// The standard deviation is `sigma_scale` (1/8 in both families) of the patch's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Importance {
    /// Every voxel counts 1.
    Uniform,
    /// nnU-Net v2: a unit at voxel `n / 2` (half a voxel off the center of an even side) blurred by a Gaussian that is cut
    /// off at four standard deviations, scaled to a largest weight of 10; zeros become the smallest other weight.
    /// nnU-Net then rounds to half precision, which is left out here.
    #[default]
    Nnunet,
    /// MONAI: a Gaussian about the center `(n - 1) / 2`, not below 0.001.
    Monai,
}

impl Importance {
    /// The weights of a patch of `shape` voxels, first axis fastest.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Limit`] when the memory cannot be had.
    #[expect(clippy::cast_possible_truncation, reason = "weights are stored as f32")]
    pub fn map(self, shape: [usize; 3], sigma_scale: f64) -> Result<Vec<f32>> {
        let profile = |n: usize| match self {
            Self::Uniform => vec![1.0; n],
            Self::Nnunet => blurred_unit(n, sigma_scale),
            Self::Monai => gaussian(n, sigma_scale),
        };
        let [x, y, z] = shape.map(profile);
        let peak: f64 = [&x, &y, &z].iter().map(|p| p.iter().copied().fold(0.0, f64::max)).product();
        let scale = if self == Self::Nnunet { 10.0 / peak } else { 1.0 };
        let floor = match self {
            Self::Monai => 1e-3,
            _ => [&x, &y, &z].iter().map(|p| least_positive(p)).product::<f64>() * scale,
        };
        let mut map = limits::reserved(shape.iter().product(), "an importance map")?;
        for c in &z {
            for b in &y {
                map.extend(x.iter().map(|a| (a * b * c * scale).max(floor) as f32));
            }
        }
        Ok(map)
    }
}

/// A unit at `n / 2` after SciPy's `gaussian_filter1d` with `truncate` 4: the normalized kernel, shifted and cut.
fn blurred_unit(n: usize, sigma_scale: f64) -> Vec<f64> {
    let sigma = n as f64 * sigma_scale;
    let radius = (4.0 * sigma + 0.5).floor();
    let weight = |x: f64| if x.abs() <= radius { (-0.5 * (x / sigma).powi(2)).exp() } else { 0.0 };
    // The kernel's sum is a common factor, which scaling to the largest weight takes out.
    (0..n).map(|at| weight(at as f64 - (n / 2) as f64)).collect()
}

/// A Gaussian about the middle of `n` voxels.
fn gaussian(n: usize, sigma_scale: f64) -> Vec<f64> {
    let sigma = n as f64 * sigma_scale;
    let center = (n as f64 - 1.0) / 2.0;
    (0..n).map(|at| (-0.5 * ((at as f64 - center) / sigma).powi(2)).exp()).collect()
}

fn least_positive(profile: &[f64]) -> f64 {
    profile.iter().copied().filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_of_one_voxel_has_a_positive_weight() {
        assert_eq!(Importance::Uniform.map([1; 3], 0.125).unwrap(), [1.0]);
        assert_eq!(Importance::Nnunet.map([1; 3], 0.125).unwrap(), [10.0]);
        assert_eq!(Importance::Monai.map([1; 3], 0.125).unwrap(), [1.0]);
    }

    #[test]
    fn a_cut_off_kernel_leaves_no_voxel_without_weight() {
        let map = Importance::Nnunet.map([33, 4, 2], 0.02).unwrap();
        let least = map.iter().copied().fold(f32::INFINITY, f32::min);
        assert!(least > 0.0);
        assert!((map[16 + 33 * (2 + 4)] - 10.0).abs() < 1e-6);
        assert!(map.iter().filter(|&&w| w == least).count() > 100);
    }
}
