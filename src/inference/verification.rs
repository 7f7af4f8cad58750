//! A model in every engine of this machine, compared label by label.

use serde::Serialize;

use super::engines::{Device, EngineChoice, Options, open};
use super::model_file::ModelFile;
use super::survey::survey;
use super::verify::{MIN_AGREEMENT, Reference, verify};
use super::{Precision, Predictor, TensorView};
use crate::error::{Error, Result};
use crate::limits;
use crate::model::{Golden, Model};

/// Side in voxels of the made-up input for a model without a stored case, rounded up to what the network takes.
const SIDE: usize = 64;

/// What one engine gave.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// Engine and arithmetic.
    pub engine: String,
    /// Share of voxels with the reference's label, 0 to 1.
    pub agreement: Option<f64>,
    /// Largest difference of a score from the reference engine's.
    pub max_difference: Option<f32>,
    /// Wall-clock seconds of one run, after a first one.
    pub seconds: Option<f64>,
    /// Whether `auto` may take the engine; none where it cannot be had.
    pub passed: Option<bool>,
    /// What it was compared with, or why it cannot be had.
    pub note: String,
}

/// Runs `model` in every engine that this machine has. The embedded engine is compared with the model's stored labels;
/// the others with the embedded engine, which also proves them for `auto`.
///
/// # Errors
/// [`crate::ErrorKind::Model`] when the embedded engine cannot run the model; those of [`verify()`].
pub fn verify_model(model: &Model, options: &Options) -> Result<Vec<Check>> {
    let file = ModelFile::from(model);
    let embedded = Options { engine: EngineChoice::Embedded, device: Device::Cpu, ..options.clone() };
    let (reference, _) = open(&file, &Options { precision: Precision::Fp32, ..embedded.clone() })?;
    let golden = model.golden()?;
    let (shape, input) = match &golden {
        Some(golden) => (golden.shape.clone(), golden.input.clone()),
        None => made_up(model, &*reference)?,
    };
    let view = TensorView { shape: &shape, data: &input };
    let mut checks = vec![check_embedded(&*reference, view, golden.as_ref())?];
    for status in survey(options) {
        if status.engine == EngineChoice::Embedded {
            continue;
        }
        for precision in [Precision::Fp32, Precision::Bf16] {
            if precision == Precision::Bf16 && status.engine != EngineChoice::OpenVino {
                continue;
            }
            let named = Options { engine: status.engine, device: Device::Cpu, precision, ..options.clone() };
            checks.push(check_library(&file, &named, status.available, &status.summary, view, &*reference));
        }
    }
    Ok(checks)
}

/// Seconds of each step of the embedded engine, for the model's stored case or a made-up input; the second of two runs.
///
/// # Errors
/// [`crate::ErrorKind::Model`] when the embedded engine cannot run the model.
#[cfg(feature = "embedded")]
pub fn profile_model(model: &Model, precision: Precision) -> Result<Vec<super::embedded::StepTime>> {
    let engine = super::embedded::Engine::new(model.graph().clone(), precision)?;
    let (shape, input) = match model.golden()? {
        Some(golden) => (golden.shape, golden.input),
        None => made_up(model, &engine)?,
    };
    let view = TensorView { shape: &shape, data: &input };
    let output = engine.output_shape(&shape)?;
    let mut scores = limits::zeroed(output.iter().product(), "the network's output")?;
    engine.profile(view, &mut scores)?;
    engine.profile(view, &mut scores)
}

/// The embedded engine against the stored labels.
fn check_embedded(engine: &dyn Predictor, input: TensorView<'_>, golden: Option<&Golden>) -> Result<Check> {
    let shape = engine.output_shape(input.shape)?;
    let mut scores = limits::zeroed(shape.iter().product(), "the network's output")?;
    engine.predict(input, &mut scores)?;
    let start = std::time::Instant::now();
    engine.predict(input, &mut scores)?;
    let seconds = start.elapsed().as_secs_f64();
    let agreement = golden.map(|golden| {
        let classes = super::verify::labels(&scores, &shape)?;
        let same = classes.iter().zip(&golden.classes).filter(|(a, b)| a == b).count();
        #[expect(clippy::cast_precision_loss, reason = "voxel counts are below 2^53")]
        Ok::<_, Error>(same as f64 / golden.classes.len().max(1) as f64)
    });
    let agreement = agreement.transpose()?;
    Ok(Check {
        engine: format!("embedded ({})", engine.backend().provider),
        agreement,
        max_difference: None,
        seconds: Some(seconds),
        passed: Some(agreement.is_none_or(|share| share >= MIN_AGREEMENT)),
        note: if golden.is_some() { "the stored labels" } else { "the reference here" }.to_owned(),
    })
}

fn check_library(
    file: &ModelFile<'_>,
    options: &Options,
    available: bool,
    summary: &str,
    input: TensorView<'_>,
    reference: &dyn Predictor,
) -> Check {
    let precision = if options.precision == Precision::Bf16 { "bf16" } else { "fp32" };
    let mut check = Check {
        engine: format!("{} ({precision})", options.engine),
        agreement: None,
        max_difference: None,
        seconds: None,
        passed: None,
        note: summary.to_owned(),
    };
    if !available {
        return check;
    }
    match verify(file, options, input, Reference::Engine(reference)) {
        Ok(found) => {
            check.agreement = Some(found.agreement);
            check.max_difference = found.max_difference;
            check.seconds = Some(found.seconds);
            // bf16 is only used when asked for, so that its agreement is information and no verdict.
            check.passed = Some(found.passed || options.precision == Precision::Bf16);
            "against the embedded engine".clone_into(&mut check.note);
        }
        Err(error) => check.note = error.to_string(),
    }
    check
}

/// A smooth input in 0..=1 of a size that the network takes.
fn made_up(model: &Model, engine: &dyn Predictor) -> Result<(Vec<usize>, Vec<f32>)> {
    let info = engine.input();
    let facts = model.graph().facts()?;
    let mut shape = vec![1, info.shape.get(1).copied().flatten().unwrap_or(1)];
    for (side, axis) in info.shape.iter().skip(2).zip(&facts.axes) {
        let (below, above) = axis.sizes.nearest(SIDE);
        shape.push(side.or(above).or(below).unwrap_or(SIDE));
    }
    engine.output_shape(&shape)?;
    let last = shape.last().copied().unwrap_or(1);
    let values = (0..shape.iter().product::<usize>()).map(|at| {
        #[expect(clippy::cast_precision_loss, reason = "a made-up pattern")]
        let (x, y) = ((at % last) as f32, (at / last) as f32);
        0.5 + 0.25 * (0.21 * x).sin() + 0.25 * (0.13 * y).cos()
    });
    Ok((shape, values.collect()))
}
