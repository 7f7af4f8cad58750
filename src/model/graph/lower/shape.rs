//! Operators that move elements or reduce axes.

use super::super::function::{Binary, Reduction};
use super::super::op::{Op, PadMode};
use super::{Call, ValueId};
use crate::error::Result;

impl Call<'_, '_> {
    /// Makes the layer when `name` is one of these operators.
    pub(super) fn shape_operator(&mut self, name: &str) -> Result<bool> {
        let reduction = match name {
            "GlobalAveragePool" => return self.global(Reduction::Mean).map(|()| true),
            "GlobalMaxPool" => return self.global(Reduction::Max).map(|()| true),
            "ReduceMean" => Some(Reduction::Mean),
            "ReduceSum" => Some(Reduction::Sum),
            "ReduceMax" => Some(Reduction::Max),
            "ReduceMin" => Some(Reduction::Min),
            "ReduceL2" => Some(Reduction::L2),
            _ => None,
        };
        match (name, reduction) {
            (_, Some(reduction)) => self.reduce(reduction)?,
            ("Reshape" | "Squeeze" | "Unsqueeze" | "Flatten", _) => self.reshape(name)?,
            ("Transpose", _) => self.transpose()?,
            ("Expand", _) => self.expand()?,
            ("Concat", _) => self.concat()?,
            ("Slice", _) => self.slice()?,
            ("Gather", _) => self.gather()?,
            ("Pad", _) => self.pad()?,
            ("DepthToSpace", _) => self.depth_to_space()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn reshape(&mut self, name: &str) -> Result<()> {
        let (x, shape) = self.x()?;
        let out = match name {
            "Reshape" => self.operands.reshaped(&shape)?,
            "Squeeze" => self.operands.squeezed(&shape)?,
            "Unsqueeze" => self.operands.unsqueezed(&shape)?,
            _ => self.operands.flattened(&shape)?,
        };
        if out == shape { self.alias() } else { self.layer(Op::Reshape, vec![x], out) }
    }

    fn transpose(&mut self) -> Result<()> {
        let (x, shape) = self.x()?;
        let permutation = self.operands.permutation(shape.len())?;
        if permutation.is_sorted() {
            return self.alias();
        }
        let out = permutation.iter().map(|&axis| shape[axis]).collect();
        self.layer(Op::Transpose { permutation }, vec![x], out)
    }

    fn expand(&mut self) -> Result<()> {
        let (x, shape) = self.x()?;
        let out = self.operands.expanded(&shape)?;
        if out == shape { self.alias() } else { self.layer(Op::Expand, vec![x], out) }
    }

    fn concat(&mut self) -> Result<()> {
        let inputs = (0..self.node().inputs.len()).map(|index| self.operand(index)).collect::<Result<Vec<_>>>()?;
        let shapes: Vec<Vec<usize>> = inputs.iter().map(|id| self.lowering.values[id.index()].shape.clone()).collect();
        let (axis, shape) = self.operands.concatenated(&shapes)?;
        if inputs.len() == 1 {
            return self.alias();
        }
        self.layer(Op::Concat { axis }, inputs, shape)
    }

    fn slice(&mut self) -> Result<()> {
        let (x, shape) = self.x()?;
        let chosen = self.operands.selection(&shape)?;
        if chosen.shape == shape && chosen.steps.iter().all(|&step| step > 0) {
            return self.alias();
        }
        self.layer(Op::Slice { starts: chosen.starts, steps: chosen.steps }, vec![x], chosen.shape)
    }

    /// One element of an axis, which goes (`x[:, 0]`).
    fn gather(&mut self) -> Result<()> {
        let (x, shape) = self.x()?;
        let axis = self.operands.axis(self.node().int("axis").unwrap_or(0), shape.len())?;
        let index = match self.operands.known(1)? {
            Some(indices) if indices.len() == 1 && indices.shape.is_empty() => indices.as_ints().map(|v| v[0]),
            _ => None,
        };
        let index = index.ok_or_else(|| self.node().unsupported("picks several elements while it runs"))?;
        let mut starts = vec![0; shape.len()];
        starts[axis] = self.operands.axis(index, shape[axis])?;
        let mut row = shape.clone();
        row[axis] = 1;
        let steps = vec![1; shape.len()];
        let x = self.inner(Op::Slice { starts, steps }, vec![x], row.clone())?;
        row.remove(axis);
        self.layer(Op::Reshape, vec![x], row)
    }

    pub(super) fn split(&mut self) -> Result<()> {
        let (x, shape) = self.x()?;
        let axis = self.operands.axis(self.node().int("axis").unwrap_or(0), shape.len())?;
        let parts = self.node().outputs.len();
        let even = shape[axis].div_ceil(parts.max(1));
        let sizes = match self.operands.ints(1, "split")? {
            Some(sizes) => sizes.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect(),
            None => (0..parts).map(|part| even.min(shape[axis].saturating_sub(part * even))).collect::<Vec<_>>(),
        };
        let total = sizes.iter().try_fold(0_usize, |sum, &n| sum.checked_add(n));
        if sizes.len() != parts || sizes.contains(&0) || total != Some(shape[axis]) {
            return Err(self.node().error(format!("splits {} elements into {sizes:?}", shape[axis])));
        }
        let (mut starts, steps, mut out) = (vec![0; shape.len()], vec![1; shape.len()], shape);
        for (part, &size) in sizes.iter().enumerate() {
            out[axis] = size;
            self.give(part, Op::Slice { starts: starts.clone(), steps: steps.clone() }, vec![x], out.clone())?;
            starts[axis] += size;
        }
        Ok(())
    }

    /// Operator sets 2 to 10 have attributes, later ones operands; 18 adds axes.
    fn pad(&mut self) -> Result<()> {
        let (x, shape) = self.x()?;
        let rank = shape.len();
        let pads = self.operands.ints(1, "pads")?.ok_or_else(|| self.node().error("says nowhere how much to pad"))?;
        let value = self.operands.scalar(2, "value")?.unwrap_or(0.0);
        let axes = match self.operands.ints(3, "")? {
            Some(axes) => axes.iter().map(|&axis| self.operands.axis(axis, rank)).collect::<Result<_>>()?,
            None => (0..rank).collect::<Vec<_>>(),
        };
        if pads.len() != 2 * axes.len() || pads.iter().any(|p| p.unsigned_abs() > 1 << 24) {
            return Err(self.node().error(format!("has {} pads for {} axes", pads.len(), axes.len())));
        }
        let (mut before, mut after) = (vec![0_isize; rank], vec![0_isize; rank]);
        for (index, &axis) in axes.iter().enumerate() {
            before[axis] = isize::try_from(pads[index]).unwrap_or(0);
            after[axis] = isize::try_from(pads[index + axes.len()]).unwrap_or(0);
        }
        let mode = match self.node().text("mode").unwrap_or("constant") {
            "constant" => PadMode::Constant(value),
            "reflect" => PadMode::Reflect,
            "edge" => PadMode::Edge,
            "wrap" => PadMode::Wrap,
            other => return Err(self.node().unsupported(format!("pads by the rule {other:?}"))),
        };
        let bounced = |axis: usize| before[axis].max(after[axis]) >= shape[axis].cast_signed();
        if mode == PadMode::Reflect && (0..rank).any(bounced) {
            return Err(self.node().error(format!("mirrors more than there is of a tensor of shape {shape:?}")));
        }
        let out: Option<Vec<usize>> = (0..rank)
            .map(|axis| usize::try_from(shape[axis].cast_signed() + before[axis] + after[axis]).ok().filter(|&n| n > 0))
            .collect();
        let out = out.ok_or_else(|| self.node().error(format!("cuts everything of a tensor of shape {shape:?}")))?;
        if before.iter().chain(&after).all(|&pad| pad == 0) {
            return self.alias();
        }
        self.layer(Op::Pad { before, after, mode }, vec![x], out)
    }

    fn global(&mut self, reduction: Reduction) -> Result<()> {
        let (x, shape) = self.spatial_x()?;
        let axes: Vec<usize> = (2..shape.len()).collect();
        let out = [&shape[..2], &vec![1; axes.len()]].concat();
        self.layer(Op::Reduce { reduction, axes }, vec![x], out)
    }

    fn reduce(&mut self, reduction: Reduction) -> Result<()> {
        let (x, shape) = self.x()?;
        let rank = shape.len();
        let axes = match self.operands.ints(1, "axes")?.filter(|axes| !axes.is_empty()) {
            Some(axes) => self.operands.axes(&axes, rank)?,
            None if self.node().flag("noop_with_empty_axes") => return self.alias(),
            None => (0..rank).collect(),
        };
        let keep = self.node().int("keepdims").unwrap_or(1) != 0;
        let out = reduced(&shape, &axes, keep);
        self.layer(Op::Reduce { reduction, axes }, vec![x], out)
    }

    pub(super) fn arg_max(&mut self) -> Result<()> {
        let (x, shape) = self.x()?;
        let axis = self.operands.axis(self.node().int("axis").unwrap_or(0), shape.len())?;
        if self.node().flag("select_last_index") {
            return Err(self.node().unsupported("takes the last of equal maxima"));
        }
        let keep = self.node().int("keepdims").unwrap_or(1) != 0;
        self.layer(Op::ArgMax { axis }, vec![x], reduced(&shape, &[axis], keep))
    }

    fn depth_to_space(&mut self) -> Result<()> {
        let (x, shape) = self.x()?;
        let block =
            self.node().int("blocksize").and_then(|b| usize::try_from(b).ok()).filter(|b| (1..=1 << 12).contains(b));
        let (Some(block), [n, c, h, w]) = (block, shape.as_slice()) else {
            return Err(self.node().error(format!("cannot spread a tensor of shape {shape:?}")));
        };
        if !c.is_multiple_of(block * block) {
            return Err(self.node().error(format!("cannot spread {c} channels over blocks of {block}")));
        }
        let columns_first = self.node().text("mode") == Some("CRD");
        let out = vec![*n, c / (block * block), h * block, w * block];
        self.layer(Op::DepthToSpace { block, columns_first }, vec![x], out)
    }

    pub(super) fn matmul(&mut self) -> Result<()> {
        let (a, left) = self.x()?;
        let b = self.operand(1)?;
        let right = self.lowering.values[b.index()].shape.clone();
        let out = self.product(&left, &right)?;
        self.layer(Op::MatMul, vec![a, b], out)
    }

    fn product(&self, left: &[usize], right: &[usize]) -> Result<Vec<usize>> {
        let ([batch_a @ .., m, k], [batch_b @ .., k2, n]) = (left, right) else {
            return Err(self.node().unsupported("multiplies vectors"));
        };
        if k != k2 {
            return Err(self.node().error(format!("multiplies matrices of shapes {left:?} and {right:?}")));
        }
        let batch = self.operands.broadcast(batch_a, batch_b)?;
        Ok([batch.as_slice(), &[*m, *n]].concat())
    }

    /// The transpose of a matrix, of `shape`; that of weights is weights.
    fn transposed(&mut self, id: ValueId, shape: &[usize]) -> Result<ValueId> {
        let Some(constant) = self.lowering.constants.get(&id) else {
            return self.inner(Op::Transpose { permutation: vec![1, 0] }, vec![id], shape.to_vec());
        };
        let (rows, columns) = (shape[0], shape[1]);
        let data = constant.data.get();
        let values = (0..rows * columns).map(|at| data[at % columns * rows + at / columns]).collect();
        self.new_constant(shape.to_vec(), values)
    }

    /// `alpha A B + beta C`, with either factor transposed.
    pub(super) fn gemm(&mut self) -> Result<()> {
        let mut factors = Vec::new();
        let mut shapes = Vec::new();
        for (index, key) in [(0, "transA"), (1, "transB")] {
            let mut id = self.operand(index)?;
            let mut shape = self.lowering.values[id.index()].shape.clone();
            if self.node().flag(key) && shape.len() == 2 {
                shape.reverse();
                id = self.transposed(id, &shape)?;
            }
            factors.push(id);
            shapes.push(shape);
        }
        let out = self.product(&shapes[0], &shapes[1])?;
        let (alpha, beta) = (self.node().float("alpha").unwrap_or(1.0), self.node().float("beta").unwrap_or(1.0));
        if alpha != 1.0 {
            let factor = self.new_constant(vec![], vec![alpha])?;
            factors[0] = self.inner(Op::Binary(Binary::Mul), vec![factors[0], factor], shapes[0].clone())?;
        }
        if !self.operands.has(2) || beta == 0.0 {
            return self.layer(Op::MatMul, factors, out);
        }
        let mut c = self.operand(2)?;
        let c_shape = self.lowering.values[c.index()].shape.clone();
        if beta != 1.0 {
            let factor = self.new_constant(vec![], vec![beta])?;
            c = self.inner(Op::Binary(Binary::Mul), vec![c, factor], c_shape.clone())?;
        }
        if self.operands.broadcast(&out, &c_shape)? != out {
            return Err(self.node().error(format!("adds a tensor of shape {c_shape:?} to one of shape {out:?}")));
        }
        let product = self.inner(Op::MatMul, factors, out.clone())?;
        self.layer(Op::Binary(Binary::Add), vec![product, c], out)
    }
}

fn reduced(shape: &[usize], axes: &[usize], keep: bool) -> Vec<usize> {
    let length = |axis: usize| match (axes.contains(&axis), keep) {
        (false, _) => Some(shape[axis]),
        (true, true) => Some(1),
        (true, false) => None,
    };
    (0..shape.len()).filter_map(length).collect()
}
