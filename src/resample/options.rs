//! What a caller may choose: method, border, clipping and smoothing.

use serde::{Deserialize, Serialize};

/// How a value between voxel centres is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Method {
    /// The nearest voxel; halfway, the one that lies further along the target's axis.
    Nearest,
    /// Trilinear.
    #[default]
    Linear,
    /// Cubic B-spline through the voxels, prefiltered with mirrored ends (Unser, Aldroubi & Eden 1993).
    Cubic,
    /// Average over the target voxel along axes on which target voxels are larger than source voxels (weight = overlap
    /// of the two cells), linear along the other axes. Weights are divided by their sum, so that nothing beyond the
    /// source takes part. Only for grids whose axes are parallel.
    Area,
}

/// What lies beyond the source. A coordinate within 1e-6 voxel of the limit is inside.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Border {
    /// The coordinate is moved to the nearest voxel centre of the source.
    #[default]
    Clamp,
    /// The coordinate is reflected about the outermost voxel centres (SciPy's `mirror`).
    Mirror,
    /// This value, as soon as a coordinate lies beyond the outermost voxel *centres* (SciPy's `constant`).
    Constant(f32),
    /// This value, as soon as a coordinate lies beyond the *edges* of the outermost voxels; clamped within the outer half
    /// voxel (ITK).
    FieldOfView(f32),
    /// SciPy's `nearest` and scikit-image's `edge`: for cubic, 12 copies of the edge voxel are laid around the source
    /// before the prefilter, so that the spline is not flat at the edge; `Clamp` for the other methods. nnU-Net.
    ScipyNearest,
}

/// What stands in a label volume beyond the edges of the outermost voxels of its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Outside {
    /// Id 0.
    #[default]
    Background,
    /// What stands at the nearest voxel.
    Clamp,
}

impl Border {
    /// What stands where the source is not read; 0 for a border that always reads it.
    pub(super) fn value(self) -> f32 {
        match self {
            Self::Constant(value) | Self::FieldOfView(value) => value,
            Self::Clamp | Self::Mirror | Self::ScipyNearest => 0.0,
        }
    }
}

/// Standard deviation of the Gaussian along a source axis, in source voxels, from `factor` = target spacing / source
/// spacing along it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Sigma {
    /// `factor / 4` where `factor >= 1` (SynthSeg, `resample_volume`).
    Quarter,
    /// `(factor - 1) / 2` where `factor > 1` (scikit-image `resize` with `anti_aliasing`).
    AntiAliasing,
}

/// What the smoothing sees beyond the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SmoothingBorder {
    /// The source reflected about its edges, edge voxel repeated (the default of SciPy's `gaussian_filter`).
    #[default]
    Symmetric,
    /// The edge voxel.
    Edge,
    /// Zero (scikit-image's `constant`).
    Zero,
}

/// Gaussian low-pass filter before the interpolation, cut off at four standard deviations as SciPy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smoothing {
    /// Width per axis.
    pub sigma: Sigma,
    /// What lies beyond the source.
    #[serde(default)]
    pub border: SmoothingBorder,
}

impl Smoothing {
    /// Standard deviation in source voxels for `factor` source voxels per target voxel; 0 where the axis stays as it is.
    #[must_use]
    pub fn sigma(&self, factor: f64) -> f64 {
        match self.sigma {
            Sigma::Quarter if factor >= 1.0 - 1e-6 => 0.25 * factor,
            Sigma::AntiAliasing if factor > 1.0 + 1e-6 => 0.5 * (factor - 1.0),
            _ => 0.0,
        }
    }
}

/// How [`super::resample`] works. The smoothing acts first, then the interpolation, then the clipping.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ResampleOptions {
    /// Interpolation.
    pub method: Method,
    /// Beyond the source.
    pub border: Border,
    /// Restricts results to the range of the source's values, which cubic interpolation may leave (scikit-image `clip`).
    pub clip: bool,
    /// Low-pass filter before the interpolation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smoothing: Option<Smoothing>,
}

impl ResampleOptions {
    /// `method`, clamped borders, no clipping, no smoothing.
    #[must_use]
    pub fn new(method: Method) -> Self {
        Self { method, ..Self::default() }
    }

    /// With another border.
    #[must_use]
    pub fn with_border(self, border: Border) -> Self {
        Self { border, ..self }
    }

    /// With results restricted to the range of the source's values, or not.
    #[must_use]
    pub fn with_clip(self, clip: bool) -> Self {
        Self { clip, ..self }
    }

    /// With a low-pass filter before the interpolation.
    #[must_use]
    pub fn with_smoothing(self, smoothing: Smoothing) -> Self {
        Self { smoothing: Some(smoothing), ..self }
    }
}

impl Smoothing {
    /// A filter with this rule for its width and this border.
    #[must_use]
    pub fn new(sigma: Sigma, border: SmoothingBorder) -> Self {
        Self { sigma, border }
    }
}
