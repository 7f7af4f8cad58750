//! What the bindings of libraries share: panics become errors, one input and one output are found, and their shapes are
//! foreseen, because no library tells the output's shape before it runs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use rayon::prelude::*;

use super::foresight::Foresight;
use super::model_file::ModelFile;
use super::{TensorInfo, TensorView};
use crate::error::{Error, Result};

/// Working memory in f32 values per voxel of a network whose graph is not read: 15 per channel of the first level, the
/// most that was measured with ONNX Runtime 1.32, and 32 channels, the most that 3-D U-Nets commonly start with.
const FLOATS_PER_VOXEL: u64 = 15 * 32;

/// Runs code of a library's binding that may panic, and makes an error of it.
///
/// # Errors
/// Those of `run`, and [`crate::ErrorKind::Model`] for a panic.
pub(super) fn no_panic<T>(library: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it gave no reason");
        Err(Error::model(format!("{library} failed inside: {text}")))
    })
}

/// Where a library finds an ONNX file.
pub(super) enum Place<'a> {
    Path(&'a Path),
    Bytes(&'a [u8]),
}

impl<'a> Place<'a> {
    pub(super) fn of(model: &ModelFile<'a>) -> Self {
        match *model {
            ModelFile::Path(path) => Self::Path(path),
            ModelFile::Bytes { bytes, .. } => Self::Bytes(bytes),
            ModelFile::Model(model) => model.path().map_or(Self::Bytes(model.bytes()), Self::Path),
        }
    }
}

/// The only input or output of a model, of all with their names.
///
/// # Errors
/// [`crate::ErrorKind::Unsupported`] when there are several or none.
pub(super) fn the_only<'a, T>(model: &ModelFile<'_>, what: &str, all: &'a [(String, T)]) -> Result<&'a (String, T)> {
    let [one] = all else {
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        return Err(model
            .unsupported(format!("the model has {} {what}s ({}), not one", all.len(), names.join(", ")))
            .hint("export the model with one image tensor as its input and its final scores as its output"));
    };
    Ok(one)
}

/// Copies scores of equal length on the threads of the pool: the first touch of fresh memory is what takes time.
pub(super) fn copy(from: &[f32], to: &mut [f32]) {
    const PART: usize = 1 << 20;
    to.par_chunks_mut(PART).zip(from.par_chunks(PART)).for_each(|(to, from)| to.copy_from_slice(from));
}

/// One input, one output and how the free axes of the output follow those of the input.
#[derive(Debug)]
pub(super) struct Shapes {
    pub(super) input: TensorInfo,
    pub(super) output: TensorInfo,
    /// For each output axis the input axis whose length a free one takes.
    follows: Vec<usize>,
    foresight: Foresight,
}

/// `1 x 1 x ? x ? x ?`.
fn listed(shape: impl IntoIterator<Item = Option<usize>>) -> String {
    let axis = |n: Option<usize>| n.map_or("?".to_owned(), |n| n.to_string());
    shape.into_iter().map(axis).collect::<Vec<_>>().join(" x ")
}

/// `1 x 1 x 96 x 112 x 96`.
pub(super) fn text(shape: &[usize]) -> String {
    listed(shape.iter().map(|&n| Some(n)))
}

impl Shapes {
    /// Pairs an input with an output. Where the graph is not read, a free output axis follows the input axis of the same
    /// symbol, else the axis at the same place: a network that changes the spatial size is then found when it runs.
    ///
    /// `symbols` are the names of the free axes of input and output, empty where unknown.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unsupported`] when ranks differ, are below 3, or the number of classes is not stated.
    pub(super) fn new(
        input: TensorInfo,
        output: TensorInfo,
        symbols: [&[String]; 2],
        foresight: Foresight,
    ) -> Result<Self> {
        let both = format!("{} in, {} out", listed(input.shape.clone()), listed(output.shape.clone()));
        if input.shape.len() != output.shape.len() || input.shape.len() < 3 {
            return Err(Error::unsupported(format!(
                "the network maps no [N, C, spatial...] to scores of the same rank ({both})"
            )));
        }
        if output.shape[1].is_none() {
            return Err(Error::unsupported(format!("the model does not say how many classes it scores ({both})")));
        }
        let same_symbol = |axis: usize| {
            let symbol = symbols[1].get(axis).filter(|symbol| !symbol.is_empty())?;
            symbols[0].iter().position(|other| other == symbol)
        };
        let follows = (0..output.shape.len()).map(|axis| same_symbol(axis).unwrap_or(axis)).collect();
        Ok(Self { input, output, follows, foresight })
    }

    /// Shape of the output for an input of `shape`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when the input does not take this shape.
    pub(super) fn output_shape(&self, shape: &[usize]) -> Result<Vec<usize>> {
        let wanted = &self.input.shape;
        let fits =
            shape.len() == wanted.len() && wanted.iter().zip(shape).all(|(w, &n)| n > 0 && w.is_none_or(|w| w == n));
        if !fits {
            let wanted = listed(wanted.iter().copied());
            return Err(Error::model(format!("the network takes {wanted}, not {}", text(shape))));
        }
        if let Some(foreseen) = self.foresight.of(shape) {
            return Ok(foreseen.output);
        }
        let axis = |(fixed, &follows): (&Option<usize>, &usize)| fixed.unwrap_or(shape[follows]);
        Ok(self.output.shape.iter().zip(&self.follows).map(axis).collect())
    }

    /// Checks the lengths of both buffers and gives the shape of the output.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when a length does not fit.
    pub(super) fn check(&self, input: TensorView<'_>, output: &[f32]) -> Result<Vec<usize>> {
        let expected = self.output_shape(input.shape)?;
        let count = |shape: &[usize]| shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n));
        if count(input.shape) != Some(input.data.len()) || count(&expected) != Some(output.len()) {
            return Err(Error::model(format!(
                "{} values for an input of {} and {} for an output of {} do not fit",
                input.data.len(),
                text(input.shape),
                output.len(),
                text(&expected)
            )));
        }
        Ok(expected)
    }

    /// Refuses a result of another shape than foreseen.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when they differ.
    pub(super) fn check_result(&self, expected: &[usize], found: &[i64]) -> Result<()> {
        let same =
            expected.len() == found.len() && expected.iter().zip(found).all(|(&e, &f)| i64::try_from(e) == Ok(f));
        if same {
            return Ok(());
        }
        let found = found.iter().map(i64::to_string).collect::<Vec<_>>().join(" x ");
        Err(Error::model(format!("the network gave scores of {found} where {} were expected", text(expected)))
            .hint("state the margin that the network cuts off in the model's description"))
    }

    /// Upper estimate of a library's working memory beside input and output, in bytes.
    ///
    /// # Errors
    /// As [`Shapes::output_shape`].
    pub(super) fn working_bytes(&self, shape: &[usize]) -> Result<u64> {
        let product = |axes: &[usize]| axes.iter().fold(1_u64, |product, &n| product.saturating_mul(n as u64));
        let output = product(&self.output_shape(shape)?);
        if let Some(foreseen) = self.foresight.of(shape) {
            return Ok(foreseen.bytes);
        }
        let voxels = product(&shape[2..]).saturating_mul(shape[0] as u64);
        Ok(voxels.saturating_mul(FLOATS_PER_VOXEL).saturating_add(output).saturating_mul(4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Foresight {
        Foresight::new(&ModelFile::Bytes { name: "none", bytes: b"" })
    }

    fn info(shape: &[i64]) -> TensorInfo {
        TensorInfo { name: "t".into(), shape: shape.iter().map(|&n| usize::try_from(n).ok()).collect() }
    }

    #[test]
    fn free_axes_follow_their_symbol_or_their_place() {
        let names = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let plain = Shapes::new(info(&[-1, 1, -1, -1, 8]), info(&[-1, 3, -1, -1, 4]), [&[], &[]], none()).unwrap();
        assert_eq!(plain.output_shape(&[2, 1, 5, 6, 8]).unwrap(), [2, 3, 5, 6, 4]);
        assert!(plain.output_shape(&[2, 1, 5, 6, 9]).unwrap_err().message().contains("? x 1 x ? x ? x 8"));
        assert!(plain.output_shape(&[2, 1, 5, 6]).is_err());
        assert!(plain.output_shape(&[2, 1, 0, 6, 8]).is_err());
        let (from, to) = (names("n  h w"), names("n  w h"));
        let swapped = Shapes::new(info(&[-1, 1, -1, -1]), info(&[-1, 2, -1, -1]), [&from, &to], none()).unwrap();
        assert_eq!(swapped.output_shape(&[1, 1, 5, 7]).unwrap(), [1, 2, 7, 5]);
    }

    #[test]
    fn unusable_networks_and_results_are_refused() {
        assert!(Shapes::new(info(&[-1, 1, -1, -1]), info(&[-1, -1, -1, -1]), [&[], &[]], none()).is_err());
        assert!(Shapes::new(info(&[-1, 1, -1, -1]), info(&[-1, 2]), [&[], &[]], none()).is_err());
        let shapes = Shapes::new(info(&[1, 1, -1, -1]), info(&[1, 2, -1, -1]), [&[], &[]], none()).unwrap();
        assert!(shapes.check_result(&[1, 2, 4, 4], &[1, 2, 4, 4]).is_ok());
        assert!(shapes.check_result(&[1, 2, 4, 4], &[1, 2, 2, 2]).unwrap_err().message().contains("1 x 2 x 2 x 2"));
        let view = TensorView { shape: &[1, 1, 2, 2], data: &[0.0; 4] };
        assert!(shapes.check(view, &[0.0; 8]).is_ok());
        assert!(shapes.check(view, &[0.0; 7]).is_err());
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let error = no_panic::<()>("a library", || panic!("no {}", "symbol")).unwrap_err();
        assert_eq!(error.message(), "a library failed inside: no symbol");
    }
}
