//! The proof that lets `auto` take a faster engine: on this machine, with this library, it gives the labels of a
//! reference for this very model. Kept in the user's cache.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::dispatch::open_in;
use super::engines::{Device, EngineChoice, Options, first_that_opens};
use super::library::{self, Candidate};
use super::model_file::ModelFile;
use super::{Precision, Predictor, TensorView};
use crate::error::{Error, Result};
use crate::limits;

/// Share of voxels that must get the reference's label.
pub const MIN_AGREEMENT: f64 = 0.999;

/// What a proof is about: with any other value it does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Subject {
    /// SHA-256 of the model file.
    pub model_sha256: String,
    /// Engine and device, such as `openvino on cpu`.
    pub engine: String,
    /// Arithmetic.
    pub precision: Precision,
    /// SHA-256 of the library, or of the listing of its parts.
    pub library_sha256: String,
    /// Name and vector units of the processor.
    pub processor: String,
}

/// What an engine was compared with.
#[derive(Debug, Clone, Copy)]
pub enum Reference<'a> {
    /// Another engine, run on the same input.
    Engine(&'a dyn Predictor),
    /// The class with the highest score in each voxel, first sample first.
    Labels(&'a [u16]),
}

/// A comparison of an engine with a reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verification {
    /// What was compared.
    #[serde(flatten)]
    pub subject: Subject,
    /// Share of voxels with the same label, 0 to 1.
    pub agreement: f64,
    /// Largest difference of a score; `None` when the reference was labels.
    pub max_difference: Option<f32>,
    /// Wall time of one run of the engine, after a first one.
    pub seconds: f64,
    /// The same of the reference; `None` when it was labels.
    pub reference_seconds: Option<f64>,
    /// Whether `auto` may take the engine.
    pub passed: bool,
}

/// Engines and devices that may be faster than the embedded engine, fastest first.
pub(super) fn faster(device: Device) -> Vec<(EngineChoice, Device)> {
    let cuda = (device == Device::Auto).then_some((EngineChoice::OnnxRuntime, Device::Cuda(0)));
    let others = [(EngineChoice::OpenVino, Device::Cpu), (EngineChoice::OnnxRuntime, Device::Cpu)];
    cuda.into_iter().chain(others).collect()
}

/// Whether `auto` may take an engine.
#[derive(Debug)]
pub(super) enum Proof {
    /// It may, with this library.
    Holds(Candidate),
    /// It may not; the sentence says what that needs.
    Lacks(String),
    /// It has nothing to offer here.
    Slower,
}

/// Looks for the proof of an engine, without opening its library.
///
/// # Errors
/// [`crate::ErrorKind::Model`] when a named library cannot be had; those of reading the model.
pub(super) fn proof(model: &ModelFile<'_>, engine: EngineChoice, device: Device, options: &Options) -> Result<Proof> {
    let Some(runtime) = engine.runtime() else { return Ok(Proof::Slower) };
    let search = options.search(runtime, device.is_cuda())?;
    let found = search.candidates.into_iter().find(|found| !device.is_cuda() || library::brings_cuda(&found.path));
    let Some(found) = found else {
        let package = if device.is_cuda() { "cuda" } else { "openvino" };
        let useful = match engine {
            _ if device.is_cuda() => library::has_nvidia_driver(),
            EngineChoice::OpenVino => !embedded_leads(),
            _ => false,
        };
        let advice = format!("{engine} on {device} may be faster: run `unet-vol runtime install {package}`");
        return Ok(if useful { Proof::Lacks(advice) } else { Proof::Slower });
    };
    let subject = Subject::new(model, engine, device, options, &found)?;
    Ok(
        match library::read_record::<Verification>("verified", &subject.key()?).filter(|known| known.subject == subject)
        {
            None => Proof::Lacks(format!(
                "{engine} on {device} may be faster but is not proven for this model here: run `unet-vol models verify`"
            )),
            Some(known) if !known.passed => Proof::Lacks(format!(
                "{engine} on {device} gave the reference's label in {:.3} % of the voxels, too few to be taken",
                known.agreement * 100.0
            )),
            Some(known) if known.reference_seconds.is_some_and(|reference| reference < known.seconds) => Proof::Slower,
            Some(_) => Proof::Holds(found),
        },
    )
}

#[cfg(feature = "embedded")]
fn embedded_leads() -> bool {
    super::embedded::leads()
}

#[cfg(not(feature = "embedded"))]
fn embedded_leads() -> bool {
    false
}

impl Subject {
    fn new(
        model: &ModelFile<'_>,
        engine: EngineChoice,
        device: Device,
        options: &Options,
        library: &Candidate,
    ) -> Result<Self> {
        let runtime = engine.runtime().ok_or_else(|| {
            Error::usage(format!("{engine} opens no library, so there is nothing to prove"))
                .hint("name onnxruntime or openvino")
        })?;
        Ok(Self {
            model_sha256: model.sha256()?,
            engine: format!("{engine} on {device}"),
            precision: options.precision,
            library_sha256: library::fingerprint(runtime, &library.path, device.is_cuda())?,
            processor: library::processor(),
        })
    }

    fn key(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::internal("a proof's subject has no JSON").because(e))
    }
}

/// Compares the engine and device that `options` name with a reference on one input `[N, C, spatial...]`, and keeps the
/// result in the user's cache, where [`open()`](super::open()) looks for it.
///
/// # Errors
/// As [`open()`](super::open()); [`crate::ErrorKind::Usage`] when the options name no library's engine or the reference's size does
/// not fit; [`crate::ErrorKind::Output`] when the cache cannot be written.
pub fn verify(
    model: &ModelFile<'_>,
    options: &Options,
    input: TensorView<'_>,
    reference: Reference<'_>,
) -> Result<Verification> {
    let (engine, device) = (options.engine, options.device.or_cpu());
    let runtime = engine.runtime().ok_or_else(|| {
        Error::usage(format!("{engine} opens no library, so there is nothing to prove"))
            .hint("name onnxruntime or openvino")
    })?;
    let library = first_that_opens(runtime, &options.search(runtime, device.is_cuda())?)?;
    let predictor = open_in(model, engine, device, options.precision, Some(&library))?;
    let (scores, shape, seconds) = run(&*predictor, input)?;
    let labels = labels(&scores, &shape)?;
    let (expected, max_difference, reference_seconds) = match reference {
        Reference::Labels(expected) => (expected.to_vec(), None, None),
        Reference::Engine(other) => {
            let (expected, other_shape, other_seconds) = run(other, input)?;
            if other_shape != shape {
                return Err(Error::model("the reference gives scores of another shape"));
            }
            let differences = scores.iter().zip(&expected).map(|(a, b)| (a - b).abs());
            (self::labels(&expected, &shape)?, Some(differences.fold(0.0, f32::max)), Some(other_seconds))
        }
    };
    if expected.len() != labels.len() {
        let message = format!("the reference has {} labels, the engine {}", expected.len(), labels.len());
        return Err(Error::usage(message));
    }
    let same = labels.iter().zip(&expected).filter(|(a, b)| a == b).count();
    let agreement = same as f64 / labels.len() as f64;
    let passed = agreement >= MIN_AGREEMENT && scores.iter().all(|score| score.is_finite());
    let subject = Subject::new(model, engine, device, options, &library)?;
    let out = Verification { subject, agreement, max_difference, seconds, reference_seconds, passed };
    library::write_record("verified", &out.subject.key()?, &out)?;
    Ok(out)
}

/// Scores, their shape and the seconds of a second run: the first one prepares buffers and kernels.
fn run(predictor: &dyn Predictor, input: TensorView<'_>) -> Result<(Vec<f32>, Vec<usize>, f64)> {
    let shape = predictor.output_shape(input.shape)?;
    let mut scores = limits::zeroed(shape.iter().product(), "the scores")?;
    predictor.predict(input, &mut scores)?;
    let start = Instant::now();
    predictor.predict(input, &mut scores)?;
    Ok((scores, shape, start.elapsed().as_secs_f64()))
}

/// The class with the highest score in each voxel, the first of equals. A single class is labelled by its side of 0 and
/// of 0.5, where logits and probabilities are cut.
pub(super) fn labels(scores: &[f32], shape: &[usize]) -> Result<Vec<u16>> {
    let (classes, voxels) = (shape[1], shape[2..].iter().product::<usize>());
    let mut labels = limits::zeroed(shape[0] * voxels, "the labels")?;
    let samples = labels.chunks_exact_mut(voxels.max(1)).zip(scores.chunks_exact((classes * voxels).max(1)));
    for (labels, scores) in samples {
        if classes == 1 {
            for (label, &score) in labels.iter_mut().zip(scores) {
                *label = u16::from(score > 0.0) + u16::from(score > 0.5);
            }
            continue;
        }
        let mut best = scores[..voxels].to_vec();
        for (class, scores) in (0_u16..).zip(scores.chunks_exact(voxels)) {
            for ((label, best), &score) in labels.iter_mut().zip(&mut best).zip(scores) {
                if score > *best {
                    (*label, *best) = (class, score);
                }
            }
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_the_first_highest_class_of_each_sample() {
        let scores = [0.0, 2.0, 1.0, 2.0, /* second class */ 1.0, 2.0, 0.5, 3.0];
        assert_eq!(labels(&scores, &[1, 2, 4]).unwrap(), [1, 0, 0, 1]);
        assert_eq!(labels(&scores, &[2, 2, 2]).unwrap(), [1, 0, 0, 1]);
        assert_eq!(labels(&[-1.0, 0.2, 0.7], &[1, 1, 3]).unwrap(), [0, 1, 2]);
    }

    #[test]
    fn the_first_device_is_tried_only_where_none_is_named() {
        assert!(faster(Device::Auto).contains(&(EngineChoice::OnnxRuntime, Device::Cuda(0))));
        assert!(faster(Device::Cpu).iter().all(|&(_, device)| device == Device::Cpu));
    }
}
