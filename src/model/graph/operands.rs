//! A node together with those of its operands whose values are known, and the parameters that follow from them.

use super::node::Node;
use super::tensor::{Tensor, element_count};
use crate::error::Result;

/// A node with the operands that are known before anything runs.
pub(super) struct Operands<'a> {
    pub(super) node: &'a Node,
    pub(super) opset: i64,
    /// Per operand: its value where it is known.
    pub(super) known: Vec<Option<Tensor>>,
}

/// A strided selection: output element `o` of axis `a` is input element `starts[a] + o * steps[a]`.
pub(super) struct Selection {
    pub(super) starts: Vec<usize>,
    pub(super) steps: Vec<isize>,
    pub(super) shape: Vec<usize>,
}

impl Operands<'_> {
    /// True when the operand is given at all.
    pub(super) fn has(&self, index: usize) -> bool {
        self.node.inputs.get(index).is_some_and(Option::is_some)
    }

    /// The value of an operand that must be known when it is given.
    pub(super) fn known(&self, index: usize) -> Result<Option<&Tensor>> {
        match self.known.get(index).and_then(Option::as_ref) {
            None if self.has(index) => Err(self.node.unsupported("has a parameter that is only known while it runs")),
            tensor => Ok(tensor),
        }
    }

    /// A list of integers that is operand `index`, or the attribute `key` in older operator sets.
    pub(super) fn ints(&self, index: usize, key: &str) -> Result<Option<Vec<i64>>> {
        match self.known(index)? {
            None => Ok(self.node.ints(key).map(<[i64]>::to_vec)),
            Some(tensor) => match tensor.as_ints() {
                Some(values) => Ok(Some(values.to_vec())),
                None => Err(self.node.error("has floats where integers belong")),
            },
        }
    }

    /// A list of floats that is operand `index`, or the attribute `key` in older operator sets; an empty one is none.
    pub(super) fn floats(&self, index: usize, key: &str) -> Result<Option<Vec<f32>>> {
        let values = match self.known(index)? {
            None => self.node.floats(key).map(<[f32]>::to_vec),
            Some(tensor) => match tensor.as_floats() {
                Some(values) => Some(values.to_vec()),
                None => return Err(self.node.error("has integers where floats belong")),
            },
        };
        Ok(values.filter(|values| !values.is_empty()))
    }

    /// A scalar float operand, or the attribute `key` in older operator sets.
    pub(super) fn scalar(&self, index: usize, key: &str) -> Result<Option<f32>> {
        match self.floats(index, key)? {
            Some(values) if values.len() == 1 => Ok(Some(values[0])),
            Some(_) => Err(self.node.error("has several values where one belongs")),
            None => Ok(self.node.float(key)),
        }
    }

    /// An axis that may count from the end.
    pub(super) fn axis(&self, axis: i64, rank: usize) -> Result<usize> {
        let signed = i64::try_from(rank).unwrap_or(i64::MAX);
        let from_start = if axis < 0 { axis.saturating_add(signed) } else { axis };
        let index = usize::try_from(from_start).ok().filter(|&index| index < rank);
        index.ok_or_else(|| self.node.error(format!("names axis {axis} of a tensor with {rank} axes")))
    }

    /// Several axes, sorted, without repetition.
    pub(super) fn axes(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>> {
        let mut out = axes.iter().map(|&axis| self.axis(axis, rank)).collect::<Result<Vec<_>>>()?;
        out.sort_unstable();
        out.dedup();
        if out.len() != axes.len() {
            return Err(self.node.error("names an axis twice"));
        }
        Ok(out)
    }

    /// Refuses a shape with more elements than any tensor here may have.
    pub(super) fn checked(&self, shape: Vec<usize>) -> Result<Vec<usize>> {
        match element_count(&shape) {
            Some(_) => Ok(shape),
            None => Err(self.node.error(format!("would make the absurd shape {shape:?}"))),
        }
    }

    /// As [`Self::checked`], and refuses a shape without elements.
    pub(super) fn filled(&self, shape: Vec<usize>) -> Result<Vec<usize>> {
        if shape.contains(&0) {
            return Err(self.node.error(format!("would make the empty shape {shape:?}")));
        }
        self.checked(shape)
    }

    /// `Reshape`: 0 keeps an axis, -1 takes what is left.
    pub(super) fn reshaped(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let target = self.ints(1, "shape")?.unwrap_or_default();
        let keep = !self.node.flag("allowzero");
        let mut out = Vec::new();
        for (axis, &n) in target.iter().enumerate() {
            out.push(match n {
                -1 => 1,
                0 if keep => *shape.get(axis).ok_or_else(|| self.node.error("keeps an axis that is not there"))?,
                n => usize::try_from(n).map_err(|_| self.node.error(format!("has the axis length {n}")))?,
            });
        }
        let out = self.checked(out)?;
        let (have, fixed) = (shape.iter().product::<usize>(), out.iter().product::<usize>());
        let mismatch = || self.node.error(format!("cannot bring a tensor of shape {shape:?} into {target:?}"));
        let mut free = target.iter().enumerate().filter(|(_, n)| **n == -1).map(|(axis, _)| axis);
        let mut out = out;
        match (free.next(), free.next()) {
            (None, _) if have == fixed => {}
            (Some(axis), None) if fixed > 0 && have % fixed == 0 => out[axis] = have / fixed,
            _ => return Err(mismatch()),
        }
        Ok(out)
    }

    /// `Squeeze`: without axes, all of length one.
    pub(super) fn squeezed(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let axes = match self.ints(1, "axes")? {
            Some(axes) => self.axes(&axes, shape.len())?,
            None => (0..shape.len()).filter(|&axis| shape[axis] == 1).collect(),
        };
        if let Some(axis) = axes.iter().find(|&&axis| shape[axis] != 1) {
            return Err(self.node.error(format!("cannot drop axis {axis} of a tensor of shape {shape:?}")));
        }
        Ok((0..shape.len()).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis]).collect())
    }

    /// `Unsqueeze`: axes count in the output.
    pub(super) fn unsqueezed(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let axes = self.ints(1, "axes")?.unwrap_or_default();
        if axes.len() > 16 {
            return Err(self.node.error("adds too many axes"));
        }
        let rank = shape.len() + axes.len();
        let axes = self.axes(&axes, rank)?;
        let mut rest = shape.iter().copied();
        Ok((0..rank).map(|axis| if axes.contains(&axis) { 1 } else { rest.next().unwrap_or(1) }).collect())
    }

    /// `Flatten`.
    pub(super) fn flattened(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let axis = self.node.int("axis").unwrap_or(1);
        let split = if usize::try_from(axis) == Ok(shape.len()) { shape.len() } else { self.axis(axis, shape.len())? };
        Ok(vec![shape[..split].iter().product(), shape[split..].iter().product()])
    }

    /// `Transpose`: reversed axes where the file says nothing.
    pub(super) fn permutation(&self, rank: usize) -> Result<Vec<usize>> {
        let Some(given) = self.node.ints("perm") else { return Ok((0..rank).rev().collect()) };
        let out = given.iter().map(|&axis| self.axis(axis, rank)).collect::<Result<Vec<_>>>()?;
        if self.axes(given, rank)?.len() != rank {
            return Err(self.node.error(format!("permutes {} axes of {rank}", out.len())));
        }
        Ok(out)
    }

    /// `Expand`: the shape that the operand's and the wanted one broadcast to.
    pub(super) fn expanded(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let target = self.ints(1, "shape")?.unwrap_or_default();
        let target = target.iter().map(|&n| usize::try_from(n)).collect::<Result<Vec<_>, _>>();
        let target = target.map_err(|_| self.node.error("has a negative axis length"))?;
        self.broadcast(shape, &target)
    }

    /// The shape that two operands broadcast to, as in numpy.
    pub(super) fn broadcast(&self, a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
        let shape = broadcast(a, b)
            .ok_or_else(|| self.node.error(format!("joins tensors of shapes {a:?} and {b:?}, which do not fit")))?;
        self.checked(shape)
    }

    /// `Slice`, clamped as numpy does.
    pub(super) fn selection(&self, shape: &[usize]) -> Result<Selection> {
        let missing = || self.node.error("says nowhere what to take");
        let starts = self.ints(1, "starts")?.ok_or_else(missing)?;
        let ends = self.ints(2, "ends")?.ok_or_else(missing)?;
        let axes = self.ints(3, "axes")?.unwrap_or_else(|| (0..).take(starts.len()).collect());
        let steps = self.ints(4, "")?.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            return Err(self.node.error("has starts, ends, axes and steps of different lengths"));
        }
        self.axes(&axes, shape.len())?;
        let mut out = Selection { starts: vec![0; shape.len()], steps: vec![1; shape.len()], shape: shape.to_vec() };
        for (index, &axis) in axes.iter().enumerate() {
            let axis = self.axis(axis, shape.len())?;
            let (start, step, len) = range(starts[index], ends[index], steps[index], shape[axis])
                .ok_or_else(|| self.node.error("has a step of zero"))?;
            (out.starts[axis], out.steps[axis], out.shape[axis]) = (start, step, len);
        }
        Ok(out)
    }

    /// `Concat`: the axis and the shape of the result.
    pub(super) fn concatenated(&self, shapes: &[Vec<usize>]) -> Result<(usize, Vec<usize>)> {
        let first = shapes.first().ok_or_else(|| self.node.error("joins nothing"))?;
        let axis = self.axis(self.node.int("axis").unwrap_or(1), first.len())?;
        let mut out = first.clone();
        for shape in &shapes[1..] {
            let fits = shape.len() == out.len() && (0..out.len()).all(|a| a == axis || shape[a] == out[a]);
            if !fits {
                let detail =
                    format!("joins tensors of shapes {first:?} and {shape:?} along axis {axis}, which do not fit");
                return Err(self.node.error(detail));
            }
            out[axis] = out[axis].saturating_add(shape[axis]);
        }
        Ok((axis, self.checked(out)?))
    }
}

/// Start, step and length of a numpy-like range over an axis of `len` elements; `None` for a step of zero.
fn range(start: i64, end: i64, step: i64, len: usize) -> Option<(usize, isize, usize)> {
    let n = i64::try_from(len).ok()?;
    let from_start = |v: i64| if v < 0 { v.saturating_add(n) } else { v };
    let (low, high) = if step > 0 { (0, n) } else { (-1, n - 1) };
    let start = from_start(start).clamp(low.max(0), high.max(0));
    let end = from_start(end).clamp(low, high);
    let count = if step == 0 {
        return None;
    } else if step > 0 {
        (end - start).max(0).checked_add(step - 1)? / step
    } else {
        (start - end).max(0).checked_sub(step.checked_add(1)?)? / step.checked_neg()?
    };
    let step = step.clamp(-n.max(1), n.max(1));
    Some((usize::try_from(start).ok()?, isize::try_from(step).ok()?, usize::try_from(count).ok()?.min(len)))
}

/// The shape that two shapes broadcast to, as in numpy.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let axis = |shape: &[usize], index: usize| (index + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|index| match (axis(a, index), axis(b, index)) {
            (x, y) if x == y => Some(x),
            (1, n) | (n, 1) => Some(n),
            _ => None,
        })
        .collect()
}
