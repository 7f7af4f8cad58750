//! Convolutions and pooling: kernels, padding rules, output sizes.

use super::super::op::{Convolution, Op, Pool, TransposedConvolution};
use super::Call;
use crate::error::Result;

/// Kernel sizes, strides and pads above this are absurd; it keeps every sum far from overflow.
const MAX_PARAMETER: i64 = 1 << 24;

/// The window of a node along each spatial axis.
struct Window {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
}

impl Window {
    /// Distance of the first and the last tap, plus one.
    fn extent(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilations[axis] + 1
    }
}

impl Call<'_, '_> {
    /// A parameter per spatial axis, at least `least`.
    fn parameters(&self, key: &str, count: usize, least: i64) -> Result<Option<Vec<usize>>> {
        let Some(values) = self.node().ints(key) else { return Ok(None) };
        let valid = values.len() == count && values.iter().all(|v| (least..=MAX_PARAMETER).contains(v));
        if !valid {
            let wanted = format!("{count} numbers from {least} to {MAX_PARAMETER}");
            return Err(self.node().unsupported(format!("has {key} {values:?}, which are not {wanted}")));
        }
        Ok(Some(values.iter().filter_map(|&v| usize::try_from(v).ok()).collect()))
    }

    fn window(&self, kernel: Option<&[usize]>, space: usize) -> Result<Window> {
        let given = self.parameters("kernel_shape", space, 1)?;
        let kernel = match (given, kernel) {
            (Some(given), Some(kernel)) if given != kernel => {
                return Err(self.node().error(format!("has a kernel of {given:?} and weights of {kernel:?}")));
            }
            (_, Some(kernel)) => kernel.to_vec(),
            (Some(given), None) => given,
            (None, None) => return Err(self.node().error("has no kernel size")),
        };
        if kernel.iter().any(|&k| k == 0 || k as u64 > MAX_PARAMETER as u64) {
            return Err(self.node().error(format!("has a kernel of {kernel:?}")));
        }
        let strides = self.parameters("strides", space, 1)?.unwrap_or_else(|| vec![1; space]);
        let dilations = self.parameters("dilations", space, 1)?.unwrap_or_else(|| vec![1; space]);
        Ok(Window { kernel, strides, dilations })
    }

    /// Pads before and after each spatial axis of a window that slides over `sizes`.
    fn pads(&self, window: &Window, sizes: &[usize]) -> Result<(Vec<usize>, Vec<usize>)> {
        let space = sizes.len();
        let total = |axis: usize| {
            let steps = sizes[axis].div_ceil(window.strides[axis]).saturating_sub(1);
            (steps * window.strides[axis] + window.extent(axis)).saturating_sub(sizes[axis])
        };
        match self.node().text("auto_pad").unwrap_or("NOTSET") {
            "" | "NOTSET" => {
                let pads = self.parameters("pads", 2 * space, 0)?.unwrap_or_else(|| vec![0; 2 * space]);
                Ok((pads[..space].to_vec(), pads[space..].to_vec()))
            }
            "VALID" => Ok((vec![0; space], vec![0; space])),
            "SAME_UPPER" => Ok((0..space).map(|a| (total(a) / 2, total(a) - total(a) / 2)).unzip()),
            "SAME_LOWER" => Ok((0..space).map(|a| (total(a) - total(a) / 2, total(a) / 2)).unzip()),
            other => Err(self.node().error(format!("has the padding rule {other:?}, which does not exist"))),
        }
    }

    /// Output lengths of a sliding window: `floor((n + pads - extent) / stride) + 1`, rounded up in ceil mode unless the
    /// last window would start behind the tensor.
    fn slid(
        &self,
        window: &Window,
        sizes: &[usize],
        before: &[usize],
        after: &[usize],
        ceil: bool,
    ) -> Result<Vec<usize>> {
        let length = |axis: usize| {
            let room = (sizes[axis] + before[axis] + after[axis]).checked_sub(window.extent(axis))?;
            let stride = window.strides[axis];
            let steps = if ceil { room.div_ceil(stride) } else { room / stride };
            Some(if ceil && steps * stride >= sizes[axis] + before[axis] { steps } else { steps + 1 })
        };
        (0..sizes.len())
            .map(|axis| {
                let extent = window.extent(axis);
                length(axis).ok_or_else(|| {
                    self.node().error(format!("needs {extent} elements along an axis that has only {}", sizes[axis]))
                })
            })
            .collect()
    }

    fn groups(&self, channels: usize) -> Result<usize> {
        let groups = self.node().int("group").unwrap_or(1);
        let groups = usize::try_from(groups).ok().filter(|&g| g > 0 && channels.is_multiple_of(g));
        groups.ok_or_else(|| self.node().error(format!("cannot divide {channels} channels into its groups")))
    }

    /// Data, weights and bias of a convolution.
    fn weighted(&mut self, outputs: usize) -> Result<Vec<super::ValueId>> {
        let mut inputs = vec![self.operand(0)?, self.constant(1)?.0];
        if self.operands.has(2) {
            inputs.push(self.per_channel(2, outputs)?);
        }
        Ok(inputs)
    }

    pub(super) fn convolution(&mut self) -> Result<()> {
        let (_, shape) = self.spatial_x()?;
        let (_, weight) = self.constant(1)?;
        let groups = self.groups(shape[1])?;
        let fits = weight.len() == shape.len() && weight[1].checked_mul(groups) == Some(shape[1]);
        if !fits || weight[0] == 0 || !weight[0].is_multiple_of(groups) {
            return Err(self.node().error(format!("has weights of shape {weight:?} for a tensor of shape {shape:?}")));
        }
        let window = self.window(Some(&weight[2..]), shape.len() - 2)?;
        let (pads_before, pads_after) = self.pads(&window, &shape[2..])?;
        let sizes = self.slid(&window, &shape[2..], &pads_before, &pads_after, false)?;
        let inputs = self.weighted(weight[0])?;
        let Window { kernel, strides, dilations } = window;
        let op = Op::Convolution(Convolution { kernel, strides, dilations, pads_before, pads_after, groups });
        self.layer(op, inputs, [&[shape[0], weight[0]], sizes.as_slice()].concat())
    }

    pub(super) fn transposed_convolution(&mut self) -> Result<()> {
        let (_, shape) = self.spatial_x()?;
        let (_, weight) = self.constant(1)?;
        let groups = self.groups(shape[1])?;
        if weight.len() != shape.len() || weight[0] != shape[1] || weight[1] == 0 {
            return Err(self.node().error(format!("has weights of shape {weight:?} for a tensor of shape {shape:?}")));
        }
        let channels = weight[1].saturating_mul(groups);
        let space = shape.len() - 2;
        let window = self.window(Some(&weight[2..]), space)?;
        let output_padding = self.parameters("output_padding", space, 0)?.unwrap_or_else(|| vec![0; space]);
        let full: Vec<usize> =
            (0..space).map(|a| (shape[a + 2] - 1) * window.strides[a] + window.extent(a) + output_padding[a]).collect();
        let (pads_before, pads_after) = self.transposed_pads(&window, &shape[2..], &full)?;
        let sizes: Option<Vec<usize>> =
            (0..space).map(|a| full[a].checked_sub(pads_before[a] + pads_after[a]).filter(|&n| n > 0)).collect();
        let sizes = sizes.ok_or_else(|| self.node().error("cuts everything away"))?;
        let inputs = self.weighted(channels)?;
        let Window { kernel, strides, dilations } = window;
        let op = Op::TransposedConvolution(TransposedConvolution {
            kernel,
            strides,
            dilations,
            pads_before,
            pads_after,
            output_padding,
            groups,
        });
        self.layer(op, inputs, [&[shape[0], channels], sizes.as_slice()].concat())
    }

    /// Pads that cut `full` to the wanted size (`output_shape`, or input times stride for the automatic rules).
    fn transposed_pads(&self, window: &Window, sizes: &[usize], full: &[usize]) -> Result<(Vec<usize>, Vec<usize>)> {
        let space = sizes.len();
        let rule = self.node().text("auto_pad").unwrap_or("NOTSET");
        let wanted = match (self.parameters("output_shape", space, 1)?, rule) {
            (Some(wanted), _) => wanted,
            (None, "SAME_UPPER" | "SAME_LOWER") => (0..space).map(|a| sizes[a] * window.strides[a]).collect(),
            (None, _) => return self.pads(window, sizes),
        };
        (0..space)
            .map(|axis| {
                let cut = full[axis].checked_sub(wanted[axis]);
                let cut = cut.ok_or_else(|| self.node().unsupported("wants an output larger than its kernel gives"))?;
                let (less, more) = (cut / 2, cut - cut / 2);
                Ok(if rule == "SAME_UPPER" { (less, more) } else { (more, less) })
            })
            .collect::<Result<Vec<_>>>()
            .map(|pads| pads.into_iter().unzip())
    }

    fn pool(&mut self) -> Result<(super::ValueId, Pool, Vec<usize>)> {
        let (x, shape) = self.spatial_x()?;
        let window = self.window(None, shape.len() - 2)?;
        let (pads_before, pads_after) = self.pads(&window, &shape[2..])?;
        let sizes = self.slid(&window, &shape[2..], &pads_before, &pads_after, self.node().flag("ceil_mode"))?;
        if (0..sizes.len()).any(|a| pads_before[a] >= window.extent(a) || pads_after[a] >= window.extent(a)) {
            return Err(self.node().error("has windows that see nothing but padding"));
        }
        let Window { kernel, strides, dilations } = window;
        let pool = Pool { kernel, strides, dilations, pads_before, pads_after };
        Ok((x, pool, [&shape[..2], sizes.as_slice()].concat()))
    }

    pub(super) fn max_pool(&mut self) -> Result<()> {
        let (x, pool, shape) = self.pool()?;
        self.layer(Op::MaxPool(pool), vec![x], shape)
    }

    pub(super) fn average_pool(&mut self) -> Result<()> {
        let (x, pool, shape) = self.pool()?;
        let count_include_pad = self.node().flag("count_include_pad");
        self.layer(Op::AveragePool { pool, count_include_pad }, vec![x], shape)
    }
}
