//! The arithmetic on small tensors that exporters leave in a graph: shapes, scales, sizes, and folded weights.
//!
//! Semantics are those of the ONNX operators; integers are `i64` with division towards zero, booleans 0 and 1.

use std::sync::Arc;

use super::convert::{cast, dequantized, widened};
use super::function::{Binary, Unary, float_function, integer};
use super::operands::{Operands, broadcast};
use super::tensor::{Data, Tensor, element_count};
use crate::error::{Error, Result};

/// How many elements the results may have together, so that a small file cannot fill the memory.
pub(super) struct Budget(pub(super) usize);

impl Budget {
    pub(super) fn take(&mut self, shape: &[usize]) -> Result<usize> {
        let count = element_count(shape).filter(|&count| count <= self.0);
        let count = count.ok_or_else(|| {
            Error::model(format!(
                "the arithmetic on constants in the model makes a tensor of the absurd shape {shape:?}"
            ))
        })?;
        self.0 -= count;
        Ok(count)
    }
}

/// The result of a node all of whose operands are known; `None` for operators that are not evaluated here.
pub(super) fn evaluate(operands: &Operands<'_>, budget: &mut Budget) -> Result<Option<Tensor>> {
    let node = operands.node;
    if node.outputs.len() != 1 && node.outputs.iter().skip(1).any(Option::is_some) {
        return Ok(None);
    }
    let inputs: Vec<&Tensor> = operands.known.iter().flatten().collect();
    let result = match (node.operator.as_str(), inputs.as_slice()) {
        ("Constant", []) => constant(operands)?,
        ("Identity", [x]) => Some((*x).clone()),
        ("Cast", [x]) => Some(cast(operands, x, budget)?),
        ("DequantizeLinear", [x, scale, ..]) => Some(dequantized(operands, x, scale, budget)?),
        ("Reshape", [x, ..]) => Some(in_shape(x, operands.reshaped(&x.shape)?)),
        ("Squeeze", [x, ..]) => Some(in_shape(x, operands.squeezed(&x.shape)?)),
        ("Unsqueeze", [x, ..]) => Some(in_shape(x, operands.unsqueezed(&x.shape)?)),
        ("Flatten", [x]) => Some(in_shape(x, operands.flattened(&x.shape)?)),
        ("Transpose", [x]) => {
            let order = operands.permutation(x.shape.len())?;
            let strides = strides(&x.shape);
            let shape = order.iter().map(|&axis| x.shape[axis]).collect();
            Some(strided(x, shape, 0, &order.iter().map(|&axis| strides[axis]).collect::<Vec<_>>(), budget)?)
        }
        ("Expand", [x, _]) => Some(expand(x, operands.expanded(&x.shape)?, budget)?),
        ("Slice", [x, ..]) => {
            let chosen = operands.selection(&x.shape)?;
            let own = strides(&x.shape);
            let base = chosen.starts.iter().zip(&own).map(|(&start, &stride)| start.cast_signed() * stride).sum();
            let steps: Vec<isize> = chosen.steps.iter().zip(&own).map(|(step, stride)| step * stride).collect();
            Some(strided(x, chosen.shape, base, &steps, budget)?)
        }
        ("Gather", [x, indices]) => Some(gather(operands, x, indices, budget)?),
        _ => {
            let wide = inputs.iter().map(|x| widened(x, budget)).collect::<Result<Vec<_>>>()?;
            arithmetic(operands, &wide.iter().collect::<Vec<_>>(), budget)?
        }
    };
    Ok(result)
}

/// As [`evaluate`], of operators that compute; no operand holds bytes.
fn arithmetic(operands: &Operands<'_>, inputs: &[&Tensor], budget: &mut Budget) -> Result<Option<Tensor>> {
    Ok(match (operands.node.operator.as_str(), inputs) {
        ("ConstantOfShape", [shape]) => Some(constant_of_shape(operands, shape, budget)?),
        ("Range", [start, limit, delta]) => range(start, limit, delta, budget)?,
        ("Concat", parts) => concat(operands, parts, budget)?,
        ("Where", [condition, a, b]) => choose(operands, condition, a, b, budget)?,
        (name, [x]) => map(name, x, budget)?,
        (name, [a, b]) => zip(operands, name, a, b, budget)?,
        _ => None,
    })
}

fn in_shape(x: &Tensor, shape: Vec<usize>) -> Tensor {
    Tensor { shape, data: x.data.clone() }
}

/// Distance in memory of neighbors along each axis of a row-major tensor.
fn strides(shape: &[usize]) -> Vec<isize> {
    let mut out = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        out[axis - 1] = out[axis] * shape[axis].cast_signed();
    }
    out
}

/// The tensor whose element `o` is element `base + sum of o[a] * strides[a]` of `x`.
fn strided(x: &Tensor, shape: Vec<usize>, base: isize, strides: &[isize], budget: &mut Budget) -> Result<Tensor> {
    /// Elements along the last axes that lie side by side or are one element repeated are taken as a row.
    fn pick<T: Copy>(values: &[T], shape: &[usize], base: isize, strides: &[isize], count: usize) -> Option<Vec<T>> {
        let along = |axis: &usize, step: isize| strides[*axis] == step || shape[*axis] == 1;
        let repeats = shape.last().is_some_and(|_| along(&(shape.len() - 1), 0));
        let (mut outer, mut row) = (shape.len(), 1);
        while let Some(axis) = outer.checked_sub(1).filter(|axis| along(axis, if repeats { 0 } else { row as isize })) {
            (outer, row) = (axis, row * shape[axis]);
        }
        let mut index = vec![0_usize; outer];
        let mut at = base;
        let mut out = Vec::with_capacity(count);
        while out.len() < count {
            let start = usize::try_from(at).ok()?;
            if repeats {
                out.resize(out.len() + row, *values.get(start)?);
            } else {
                out.extend_from_slice(values.get(start..start.checked_add(row)?)?);
            }
            for axis in (0..outer).rev() {
                index[axis] += 1;
                at += strides[axis];
                if index[axis] < shape[axis] {
                    break;
                }
                at -= strides[axis] * shape[axis].cast_signed();
                index[axis] = 0;
            }
        }
        Some(out)
    }
    let count = budget.take(&shape)?;
    let data = match &x.data {
        Data::F32(values) => pick(&values.get(), &shape, base, strides, count).map(|v| Data::F32(v.into())),
        Data::I64(values) => pick(values, &shape, base, strides, count).map(|v| Data::I64(Arc::new(v))),
        Data::Bytes { values, signed } => {
            pick(values, &shape, base, strides, count).map(|v| Data::Bytes { values: v.into(), signed: *signed })
        }
    };
    let data = data.ok_or_else(|| Error::internal("a selection of a constant reaches outside"))?;
    Ok(Tensor { shape, data })
}

/// `x` repeated to `shape`, to which it broadcasts.
pub(super) fn expand(x: &Tensor, shape: Vec<usize>, budget: &mut Budget) -> Result<Tensor> {
    if x.shape == shape {
        return Ok(x.clone());
    }
    let own = strides(&x.shape);
    let skipped = shape.len() - x.shape.len();
    let stride = |axis: usize| match axis.checked_sub(skipped) {
        Some(own_axis) if x.shape[own_axis] != 1 => own[own_axis],
        _ => 0,
    };
    let steps: Vec<isize> = (0..shape.len()).map(stride).collect();
    strided(x, shape, 0, &steps, budget)
}

fn constant(operands: &Operands<'_>) -> Result<Option<Tensor>> {
    let node = operands.node;
    if let Some(tensor) = node.tensor("value") {
        return Ok(Some(tensor.clone()));
    }
    let float = node.float("value_float").map(|v| Tensor::floats(vec![], vec![v]));
    let int = node.int("value_int").map(|v| Tensor::ints(vec![], vec![v]));
    let floats = node.floats("value_floats").map(|v| Tensor::floats(vec![v.len()], v.to_vec()));
    let ints = node.ints("value_ints").map(|v| Tensor::ints(vec![v.len()], v.to_vec()));
    match float.or(int).or(floats).or(ints) {
        None => Err(node.unsupported("holds a constant of a kind that is not read")),
        found => Ok(found),
    }
}

fn constant_of_shape(operands: &Operands<'_>, shape: &Tensor, budget: &mut Budget) -> Result<Tensor> {
    let shape = shape.as_ints().and_then(|dims| dims.iter().map(|&d| usize::try_from(d).ok()).collect());
    let shape: Vec<usize> = shape.ok_or_else(|| operands.node.error("has a negative axis length"))?;
    budget.take(&shape)?;
    let one = operands.node.tensor("value").cloned().unwrap_or_else(|| Tensor::floats(vec![1], vec![0.0]));
    if one.len() != 1 {
        return Err(operands.node.error("repeats more than one value"));
    }
    expand(&in_shape(&one, vec![]), shape, budget)
}

fn range(start: &Tensor, limit: &Tensor, delta: &Tensor, budget: &mut Budget) -> Result<Option<Tensor>> {
    let (Some([start]), Some([limit]), Some([delta])) = (start.as_ints(), limit.as_ints(), delta.as_ints()) else {
        return Ok(None);
    };
    let (start, limit, delta) = (i128::from(*start), i128::from(*limit), i128::from(*delta));
    if delta == 0 {
        return Err(Error::model("the model has a range with a step of zero"));
    }
    let count = ((limit - start + delta - delta.signum()) / delta).max(0);
    let count = budget.take(&[usize::try_from(count).unwrap_or(usize::MAX)])?;
    let values = (0..count as i128).filter_map(|i| i64::try_from(start + i * delta).ok()).collect();
    Ok(Some(Tensor::ints(vec![count], values)))
}

fn gather(operands: &Operands<'_>, x: &Tensor, indices: &Tensor, budget: &mut Budget) -> Result<Tensor> {
    fn pick<T: Copy>(values: &[T], rows: &[usize], outer: usize, length: usize, inner: usize) -> Vec<T> {
        let row = |o: usize, r: usize| &values[(o * length + r) * inner..(o * length + r + 1) * inner];
        (0..outer).flat_map(|o| rows.iter().flat_map(move |&r| row(o, r))).copied().collect()
    }
    let axis = operands.axis(operands.node.int("axis").unwrap_or(0), x.shape.len())?;
    let length = x.shape[axis];
    let rows =
        indices.as_ints().unwrap_or_default().iter().map(|&i| operands.axis(i, length)).collect::<Result<Vec<_>>>();
    let rows = rows.map_err(|_| operands.node.error("gathers what is not there"))?;
    let shape = [&x.shape[..axis], &indices.shape, &x.shape[axis + 1..]].concat();
    budget.take(&shape)?;
    let (outer, inner) = (x.shape[..axis].iter().product(), x.shape[axis + 1..].iter().product());
    let data = match &x.data {
        Data::F32(values) => Data::F32(pick(&values.get(), &rows, outer, length, inner).into()),
        Data::I64(values) => Data::I64(Arc::new(pick(values, &rows, outer, length, inner))),
        Data::Bytes { values, signed } => {
            Data::Bytes { values: pick(values, &rows, outer, length, inner).into(), signed: *signed }
        }
    };
    if indices.as_ints().is_none() {
        return Err(operands.node.error("gathers by floats"));
    }
    Ok(Tensor { shape, data })
}

fn concat(operands: &Operands<'_>, parts: &[&Tensor], budget: &mut Budget) -> Result<Option<Tensor>> {
    fn join<T: Copy>(parts: &[(&[T], usize)], outer: usize) -> Vec<T> {
        (0..outer).flat_map(|o| parts.iter().flat_map(move |(v, row)| &v[o * row..(o + 1) * row])).copied().collect()
    }
    let shapes: Vec<Vec<usize>> = parts.iter().map(|part| part.shape.clone()).collect();
    let (axis, shape) = operands.concatenated(&shapes)?;
    budget.take(&shape)?;
    let outer = shape[..axis].iter().product();
    let row = |part: &Tensor| part.shape[axis..].iter().product::<usize>();
    let floats: Option<Vec<_>> = parts.iter().map(|part| Some((part.as_floats()?, row(part)))).collect();
    let ints: Option<Vec<_>> = parts.iter().map(|part| Some((part.as_ints()?, row(part)))).collect();
    Ok(match (floats, ints) {
        (Some(floats), _) => {
            let floats: Vec<_> = floats.iter().map(|(values, row)| (values.as_slice(), *row)).collect();
            Some(Tensor::floats(shape, join(&floats, outer)))
        }
        (_, Some(ints)) => Some(Tensor::ints(shape, join(&ints, outer))),
        _ => return Err(operands.node.error("joins floats and integers")),
    })
}

fn choose(
    operands: &Operands<'_>,
    condition: &Tensor,
    a: &Tensor,
    b: &Tensor,
    budget: &mut Budget,
) -> Result<Option<Tensor>> {
    let shape = operands.broadcast(&operands.broadcast(&condition.shape, &a.shape)?, &b.shape)?;
    let [condition, a, b] = [condition, a, b].map(|x| expand(x, shape.clone(), budget));
    let (condition, a, b) = (condition?, a?, b?);
    let Some(condition) = condition.as_ints() else { return Ok(None) };
    fn pick<T: Copy>(condition: &[i64], a: &[T], b: &[T]) -> Vec<T> {
        condition.iter().zip(a).zip(b).map(|((&c, &a), &b)| if c != 0 { a } else { b }).collect()
    }
    Ok(match (&a.data, &b.data) {
        (Data::I64(a), Data::I64(b)) => Some(Tensor::ints(shape, pick(condition, a, b))),
        (Data::F32(a), Data::F32(b)) => Some(Tensor::floats(shape, pick(condition, &a.get(), &b.get()))),
        _ => None,
    })
}

fn map(name: &str, x: &Tensor, budget: &mut Budget) -> Result<Option<Tensor>> {
    let data = match &x.data {
        Data::F32(values) => match Unary::named(name).and_then(float_function) {
            Some(function) => Data::F32(values.get().iter().map(|&v| function(v)).collect::<Vec<_>>().into()),
            None => return Ok(None),
        },
        Data::I64(values) => {
            let function: fn(i64) -> i64 = match name {
                "Neg" => i64::wrapping_neg,
                "Abs" => i64::wrapping_abs,
                "Not" => |v| i64::from(v == 0),
                _ => return Ok(None),
            };
            Data::I64(Arc::new(values.iter().map(|&v| function(v)).collect()))
        }
        Data::Bytes { .. } => return Ok(None),
    };
    budget.take(&x.shape)?;
    Ok(Some(Tensor { shape: x.shape.clone(), data }))
}

fn zip(operands: &Operands<'_>, name: &str, a: &Tensor, b: &Tensor, budget: &mut Budget) -> Result<Option<Tensor>> {
    let Some(shape) = broadcast(&a.shape, &b.shape) else { return Ok(None) };
    let function = Binary::named(name);
    let comparison: Option<fn(std::cmp::Ordering) -> bool> = match name {
        "Equal" => Some(std::cmp::Ordering::is_eq),
        "Less" => Some(std::cmp::Ordering::is_lt),
        "LessOrEqual" => Some(std::cmp::Ordering::is_le),
        "Greater" => Some(std::cmp::Ordering::is_gt),
        "GreaterOrEqual" => Some(std::cmp::Ordering::is_ge),
        _ => None,
    };
    if function.is_none() && comparison.is_none() && !matches!(name, "And" | "Or" | "Mod") {
        return Ok(None);
    }
    let (a, b) = (expand(a, shape.clone(), budget)?, expand(b, shape.clone(), budget)?);
    Ok(match (&a.data, &b.data) {
        (Data::F32(a), Data::F32(b)) => {
            let (a, b) = (a.get(), b.get());
            let pairs = a.iter().zip(b.iter());
            match (function, comparison) {
                (Some(function), _) => Some(Tensor::floats(shape, pairs.map(|(&a, &b)| function.of(a, b)).collect())),
                (_, Some(holds)) => {
                    let truth = pairs.map(|(a, b)| i64::from(a.partial_cmp(b).is_some_and(holds))).collect();
                    Some(Tensor::ints(shape, truth))
                }
                _ => None,
            }
        }
        (Data::I64(a), Data::I64(b)) => {
            let pair = |(&a, &b): (&i64, &i64)| match (function, comparison) {
                (Some(function), _) => integer(function, a, b),
                (_, Some(holds)) => Some(i64::from(holds(a.cmp(&b)))),
                _ if name == "And" => Some(i64::from(a != 0 && b != 0)),
                _ if name == "Or" => Some(i64::from(a != 0 || b != 0)),
                _ if operands.node.flag("fmod") => a.checked_rem(b),
                _ => a.checked_rem(b).map(|r| if r != 0 && (r < 0) != (b < 0) { r + b } else { r }),
            };
            let values = a.iter().zip(b.iter()).map(pair).collect::<Option<Vec<_>>>();
            let values = values.ok_or_else(|| operands.node.error("overflows or divides by zero"))?;
            Some(Tensor::ints(shape, values))
        }
        _ => return Err(operands.node.error("mixes floats and integers")),
    })
}
