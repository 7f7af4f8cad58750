//! Interpolation in its three historic forms: `Upsample`, `Resize` of operator set 10, and `Resize` since.

use super::super::op::{CoordinateMode, NearestMode, Op, Resize, ResizeMode};
use super::Call;
use crate::error::Result;

impl Call<'_, '_> {
    pub(super) fn resize(&mut self) -> Result<()> {
        let (x, shape) = self.x()?;
        let old = self.node().operator == "Upsample" || self.operands.opset < 11;
        let (scales, sizes) = if old {
            (self.operands.floats(1, "scales")?, None)
        } else {
            (self.operands.floats(2, "")?, self.operands.ints(3, "")?.filter(|sizes| !sizes.is_empty()))
        };
        let (scales, sizes) = self.targets(&shape, scales, sizes)?;
        let op = Resize { mode: self.resize_mode(old)?, coordinates: self.coordinates(old)?, scales };
        if sizes == shape && op.scales.iter().all(|&scale| scale == 1.0) {
            return self.alias();
        }
        self.layer(Op::Resize(op), vec![x], sizes)
    }

    /// Scale and length of every axis of the output.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be positive and small")]
    fn targets(
        &self,
        shape: &[usize],
        scales: Option<Vec<f32>>,
        sizes: Option<Vec<i64>>,
    ) -> Result<(Vec<f32>, Vec<usize>)> {
        let rank = shape.len();
        let axes = match self.node().ints("axes") {
            Some(axes) => axes.iter().map(|&axis| self.operands.axis(axis, rank)).collect::<Result<_>>()?,
            None => (0..rank).collect::<Vec<_>>(),
        };
        let count = scales.as_ref().map(Vec::len).or(sizes.as_ref().map(Vec::len));
        if count != Some(axes.len()) || (scales.is_some() && sizes.is_some()) {
            return Err(self.node().error("needs a scale or a size for each of its axes"));
        }
        if !matches!(self.node().text("keep_aspect_ratio_policy"), None | Some("" | "stretch")) {
            return Err(self.node().unsupported("keeps the aspect ratio"));
        }
        let (mut out_scales, mut out_sizes) = (vec![1.0; rank], shape.to_vec());
        for (index, &axis) in axes.iter().enumerate() {
            let n = shape[axis] as f32;
            let (scale, size) = match (&scales, &sizes) {
                (Some(scales), _) => (scales[index], (n * scales[index]).floor()),
                (_, Some(sizes)) => (sizes[index] as f32 / n, sizes[index] as f32),
                _ => (1.0, n),
            };
            if !(scale > 0.0 && (1.0..=16_777_216.0).contains(&size)) {
                return Err(self.node().error(format!("would make {size} elements of {n}")));
            }
            (out_scales[axis], out_sizes[axis]) = (scale, size as usize);
        }
        Ok((out_scales, out_sizes))
    }

    fn resize_mode(&self, old: bool) -> Result<ResizeMode> {
        if self.node().flag("antialias") || self.node().flag("exclude_outside") {
            return Err(self.node().unsupported("smooths or renormalizes while it resizes"));
        }
        let nearest = match self.node().text("nearest_mode").unwrap_or("round_prefer_floor") {
            _ if old => NearestMode::Floor,
            "round_prefer_floor" => NearestMode::RoundPreferFloor,
            "round_prefer_ceil" => NearestMode::RoundPreferCeil,
            "floor" => NearestMode::Floor,
            "ceil" => NearestMode::Ceil,
            other => return Err(self.node().unsupported(format!("has the nearest mode {other:?}"))),
        };
        match self.node().text("mode").unwrap_or("nearest") {
            "nearest" => Ok(ResizeMode::Nearest(nearest)),
            "linear" | "bilinear" | "trilinear" => Ok(ResizeMode::Linear),
            "cubic" => Ok(ResizeMode::Cubic(self.node().float("cubic_coeff_a").unwrap_or(-0.75))),
            other => Err(self.node().unsupported(format!("has the mode {other:?}"))),
        }
    }

    fn coordinates(&self, old: bool) -> Result<CoordinateMode> {
        Ok(match self.node().text("coordinate_transformation_mode").unwrap_or("half_pixel") {
            _ if old => CoordinateMode::Asymmetric,
            "half_pixel" => CoordinateMode::HalfPixel,
            "pytorch_half_pixel" => CoordinateMode::PytorchHalfPixel,
            "half_pixel_symmetric" => CoordinateMode::HalfPixelSymmetric,
            "align_corners" => CoordinateMode::AlignCorners,
            "asymmetric" => CoordinateMode::Asymmetric,
            other => return Err(self.node().unsupported(format!("has the coordinate mode {other:?}"))),
        })
    }
}
