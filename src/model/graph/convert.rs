//! From one kind of stored number to another: casts, and the floats that quantized weights stand for.

use std::sync::Arc;

use super::evaluate::Budget;
use super::operands::Operands;
use super::proto::data_type::{BOOL, is_floating};
use super::tensor::{Data, Tensor};
use crate::error::Result;
use crate::limits::reserved;

const WHAT: &str = "a tensor of the model";

/// `Cast` between the kinds that are told apart here: floats of one width count as those of any other, and so do integers.
pub(super) fn cast(operands: &Operands<'_>, x: &Tensor, budget: &mut Budget) -> Result<Tensor> {
    let to = operands.node.int("to").and_then(|to| i32::try_from(to).ok()).unwrap_or(0);
    match &x.data {
        Data::F32(_) if is_floating(to) => return Ok(x.clone()),
        Data::I64(_) if !is_floating(to) && to != BOOL => return Ok(x.clone()),
        _ => {}
    }
    budget.take(&x.shape)?;
    let data = match (x.as_floats(), to) {
        (Some(values), BOOL) => ints(values.len(), values.iter().map(|&v| i64::from(v != 0.0)))?,
        #[expect(clippy::cast_possible_truncation, reason = "a cast to integers truncates, as ONNX says")]
        (Some(values), _) => ints(values.len(), values.iter().map(|&v| v as i64))?,
        (None, BOOL) => ints(x.len(), x.integers().map(|v| i64::from(v != 0)))?,
        (None, _) if is_floating(to) => floats(x.len(), x.integers().map(|v| v as f32))?,
        (None, _) => ints(x.len(), x.integers())?,
    };
    Ok(Tensor { shape: x.shape.clone(), data })
}

/// `x` with one-byte integers as wide ones, on which arithmetic is defined.
pub(super) fn widened(x: &Tensor, budget: &mut Budget) -> Result<Tensor> {
    if !matches!(x.data, Data::Bytes { .. }) {
        return Ok(x.clone());
    }
    budget.take(&x.shape)?;
    Ok(Tensor { shape: x.shape.clone(), data: ints(x.len(), x.integers())? })
}

/// `DequantizeLinear`: (x - zero point) * scale, with one scale for all or one for each element along an axis.
pub(super) fn dequantized(operands: &Operands<'_>, x: &Tensor, scale: &Tensor, budget: &mut Budget) -> Result<Tensor> {
    let node = operands.node;
    if node.int("block_size").is_some_and(|size| size != 0) {
        return Err(node.unsupported("has a scale for each block"));
    }
    let scales = scale.as_floats().filter(|_| x.as_floats().is_none());
    let scales =
        scales.ok_or_else(|| node.error("has integers where floats belong, or floats where integers belong"))?;
    let zeros: Vec<i64> = match operands.known(2)? {
        Some(zeros) if zeros.as_floats().is_none() && zeros.len() == scales.len() => zeros.integers().collect(),
        Some(zeros) => return Err(node.error(format!("has {} zero points for {} scales", zeros.len(), scales.len()))),
        None => vec![0; scales.len()],
    };
    // Elements that share a scale and lie side by side.
    let stretch = match (scale.shape.as_slice(), scales.len()) {
        ([] | [1], 1) => x.len(),
        ([count], _) => {
            let axis = operands.axis(node.int("axis").unwrap_or(1), x.shape.len())?;
            if x.shape[axis] != *count {
                let have = &x.shape;
                return Err(node.error(format!("has {count} scales along axis {axis} of a tensor of shape {have:?}")));
            }
            x.shape[axis + 1..].iter().product()
        }
        (shape, _) => return Err(node.error(format!("has scales of the shape {shape:?}"))),
    };
    budget.take(&x.shape)?;
    let mut values = reserved(x.len(), WHAT)?;
    let mut all = x.integers();
    for (&scale, &zero) in scales.iter().zip(&zeros).cycle() {
        if values.len() == x.len() {
            break;
        }
        values.extend(all.by_ref().take(stretch).map(|v| v.saturating_sub(zero) as f32 * scale));
    }
    Ok(Tensor::floats(x.shape.clone(), values))
}

fn floats(len: usize, values: impl Iterator<Item = f32>) -> Result<Data> {
    let mut out = reserved(len, WHAT)?;
    out.extend(values);
    Ok(Data::F32(out.into()))
}

fn ints(len: usize, values: impl Iterator<Item = i64>) -> Result<Data> {
    let mut out = reserved(len, WHAT)?;
    out.extend(values);
    Ok(Data::I64(Arc::new(out)))
}
