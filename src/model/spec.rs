//! What a network expects and what its classes mean: everything between a study and a label map that is not code.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::geometry::{GridRule, Orientation};
use crate::intensity::Normalization;
use crate::labels::{Activation, EdgeOptions, Interpolation, Rule, Step};
use crate::resample::{Outside, ResampleOptions};
use crate::tiling::{NetworkShape, Tiling};
use crate::volume::{Label, LabelTable, TermCode};

/// Description of a model, stored as one JSON string under [`ModelSpec::METADATA_KEY`] in the ONNX file, or in a TOML
/// or JSON file beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ModelSpec {
    /// Version of this format: 1.
    pub schema: u32,
    /// Short name, such as `brain-mri`.
    pub name: String,
    /// Version of the weights.
    #[serde(default)]
    pub version: String,
    /// SPDX licence of the weights.
    #[serde(default)]
    pub license: String,
    /// What to cite.
    #[serde(default)]
    pub citation: String,
    /// What the model is for, in a sentence.
    #[serde(default)]
    pub intended_use: String,
    /// True when classes tell sides apart, left from right or front from back: then a file without orientation is
    /// refused.
    #[serde(default)]
    pub sided: bool,
    /// What is fed.
    #[serde(default)]
    pub input: InputSpec,
    /// Where the network's voxels are.
    #[serde(default)]
    pub grid: GridSpec,
    /// How intensities are brought to that grid.
    #[serde(default)]
    pub resample: ResampleOptions,
    /// How the volume is cut into patches; triples are along i, j, k of the fed volume, which are the tensor's spatial
    /// axes from the last to the first.
    #[serde(default)]
    pub tiling: Tiling,
    /// Which sizes the network takes and how far its scores see, where its graph does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkShape>,
    /// What comes out.
    #[serde(default)]
    pub output: OutputSpec,
    /// What the classes mean; under argmax class 0 is background and has no entry.
    #[serde(default)]
    pub labels: Vec<ClassSpec>,
    /// A file beside the model with names and colors per class (`labels`, `R`, `G`, `B` lists), in place of `labels`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels_file: Option<String>,
    /// What becomes of the classes in a mirror image, for averaging over left/right flips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorSpec>,
    /// Steps on the decided labels, in order.
    #[serde(default)]
    pub postprocess: Vec<Step>,
    /// Label ids whose volumes are summed in the report.
    #[serde(default)]
    pub volumes: Vec<VolumeSum>,
    /// What results looked like in evaluation; a result that leaves these ranges comes with a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<QualitySpec>,
}

/// The input of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct InputSpec {
    /// One entry per input channel.
    pub channels: Vec<ChannelSpec>,
    /// Which index of the oriented volume runs along the tensor's spatial axes.
    pub axis_order: AxisOrder,
    /// Orientation the volume is brought to first; none keeps the order of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orientation: Option<Orientation>,
    /// Intensity steps of every channel that has none of its own.
    pub normalize: Normalization,
    /// Samples of MONOCHROME1 images (radiographs, mostly), of which low ones are shown bright, are inverted before
    /// anything else, so that high is bright.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub invert_monochrome1: bool,
    /// After normalization only the box of voxels above a threshold is fed; all else is background.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop: Option<CropSpec>,
}

impl Default for InputSpec {
    fn default() -> Self {
        Self {
            channels: vec![ChannelSpec { name: "image".into(), normalize: None }],
            axis_order: AxisOrder::default(),
            orientation: None,
            normalize: Normalization::default(),
            invert_monochrome1: false,
            crop: None,
        }
    }
}

/// One input channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelSpec {
    /// Name, such as `T1` or `FLAIR`.
    pub name: String,
    /// Intensity steps of this channel alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalize: Option<Normalization>,
}

/// Order of a tensor's spatial axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AxisOrder {
    /// `[N, C, k, j, i]`: the memory of the volume (SimpleITK-fed families such as nnU-Net).
    #[default]
    Kji,
    /// `[N, C, i, j, k]` (nibabel-fed families such as MONAI and the MeshNets).
    Ijk,
}

/// The box that is fed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CropSpec {
    /// Voxels above this normalized value span the box.
    pub threshold: f32,
    /// Voxels added on each side.
    #[serde(default)]
    pub margin: usize,
}

/// The grid on which a network works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct GridSpec {
    /// Spacing in mm along the axes of `input.orientation`; none keeps that of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spacing_mm: Option<[f64; 3]>,
    /// Fixed number of voxels along the axes of `input.orientation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<[usize; 3]>,
    /// How the new grid lies over the source's.
    pub rule: GridRule,
    /// Axes along the world's instead of along the source's (FreeSurfer's conformed space).
    pub world_aligned: bool,
    /// The number of voxels is rounded up to a multiple of this.
    pub multiple: usize,
}

impl Default for GridSpec {
    fn default() -> Self {
        Self { spacing_mm: None, shape: None, rule: GridRule::HalfPixel, world_aligned: false, multiple: 1 }
    }
}

/// The output of a network and how labels are made of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct OutputSpec {
    /// Applied to the scores of a voxel before anything is interpolated.
    pub activation: Activation,
    /// How a class is chosen.
    pub decision: Rule,
    /// What lies beyond the network's grid.
    pub outside: Outside,
    /// How labels get back to the source's grid.
    pub back: Interpolation,
    /// Edges between labels are decided once more with the intensities of the first channel; classes of `mirror.swap` look
    /// alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edges: Option<EdgeOptions>,
}

/// One class of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassSpec {
    /// Channel of the output.
    pub class: usize,
    /// Value in the label volume.
    pub id: u16,
    /// Name of the structure.
    pub name: String,
    /// Display color.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rgb: Option<[u8; 3]>,
    /// Coded term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<TermCode>,
}

/// A network that has seen mirror images in training.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirrorSpec {
    /// Pairs of classes that change places when left and right do; all others stay what they are.
    #[serde(default)]
    pub swap: Vec<[usize; 2]>,
}

/// A sum of volumes that the report states, such as brain or intracranial volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeSum {
    /// Name in the report, such as `brain`.
    pub name: String,
    /// Label ids that are summed.
    pub ids: Vec<u16>,
}

/// What results looked like in evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QualitySpec {
    /// What the model looks for, such as `brain`: the entry of `volumes` with this name, or all labels where none has it.
    pub object: String,
    /// With a smaller volume in ml it counts as not found, and no label is given.
    pub least_ml: f64,
    /// The same for a smaller score: the mean of [`crate::labels::Confidence::score`] over its labels, by volume.
    pub least_score: f64,
    /// The ranges of single labels.
    #[serde(default)]
    pub labels: Vec<LabelRange>,
}

/// What is usual for one label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelRange {
    /// Label id.
    pub id: u16,
    /// Least and largest volume in ml; a label may be missing where the least is 0.
    pub ml: [f64; 2],
    /// Least [`crate::labels::Confidence::score`].
    pub score: f64,
}

impl ModelSpec {
    /// Key of the ONNX metadata entry that holds the spec as JSON.
    pub const METADATA_KEY: &str = "unet_vol.spec";

    /// From JSON or TOML text, told apart by the first character.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when the text is neither, a field is unknown, or fields contradict each other.
    pub fn parse(text: &str) -> Result<Self> {
        let spec: Self = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|e| Error::model(format!("the model spec is not valid JSON: {e}")))?
        } else {
            toml::from_str(text)
                .map_err(|e| Error::model(format!("the model spec is not valid TOML: {}", e.message())))?
        };
        spec.validate()?;
        Ok(spec)
    }

    /// As JSON, for the ONNX metadata.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] when a value has no JSON form.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::internal("the spec has no JSON form").because(e))
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] with the field that does not fit.
    pub fn validate(&self) -> Result<()> {
        let fail = |message: String| Err(Error::model(format!("model spec {:?}: {message}", self.name)));
        if self.schema != 1 {
            return fail(format!("schema {} is not known; this program reads schema 1", self.schema));
        }
        if self.input.channels.is_empty() {
            return fail("input.channels is empty".into());
        }
        if let Some(spacing) = self.grid.spacing_mm.filter(|s| s.iter().any(|v| !v.is_finite() || *v <= 0.0)) {
            return fail(format!("grid.spacing_mm {spacing:?} is not positive"));
        }
        if self.grid.multiple == 0 || self.grid.shape.is_some_and(|s| s.contains(&0)) {
            return fail("grid.multiple and grid.shape must be positive".into());
        }
        if self.grid.world_aligned && (self.grid.shape.is_none() || self.grid.spacing_mm.is_none()) {
            return fail("grid.world_aligned needs grid.shape and grid.spacing_mm".into());
        }
        if self.output.decision == Rule::Argmax && self.labels.iter().any(|c| c.class == 0) {
            return fail("class 0 is background under argmax and cannot have a label".into());
        }
        for normalize in std::iter::once(&self.input.normalize)
            .chain(self.input.channels.iter().filter_map(|c| c.normalize.as_ref()))
        {
            normalize.check()?;
        }
        if let Some(edges) = &self.output.edges {
            let OutputSpec { activation, decision, back, .. } = &self.output;
            if (activation, decision, back) != (&Activation::None, &Rule::Argmax, &Interpolation::Linear) {
                return fail("output.edges needs logits, an argmax and linear interpolation".into());
            }
            let positive = |value: f64| value.is_finite() && value > 0.0;
            if !positive(edges.weight.into()) || !positive(edges.reach_mm) {
                return fail("output.edges needs a positive weight and reach".into());
            }
        }
        let mut swapped: Vec<_> = self.mirror.iter().flat_map(|mirror| &mirror.swap).flatten().collect();
        swapped.sort_unstable();
        if swapped.windows(2).any(|pair| pair[0] == pair[1]) {
            return fail("a class is named twice in mirror.swap".into());
        }
        let mut classes: Vec<_> = self.labels.iter().map(|c| c.class).collect();
        classes.sort_unstable();
        if classes.windows(2).any(|pair| pair[0] == pair[1]) {
            return fail("a class is described twice in labels".into());
        }
        self.table().map(drop)
    }

    /// What the label ids stand for.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Model`] when an id is 0 or occurs twice.
    pub fn table(&self) -> Result<LabelTable> {
        let labels = self.labels.iter().map(|class| Label {
            id: class.id,
            name: class.name.clone(),
            rgb: class.rgb.unwrap_or_else(|| crate::volume::default_rgb(class.id)),
            code: class.code.clone(),
        });
        LabelTable::new(labels.collect())
    }

    /// Label id of each of `classes` output channels; channels without a label are background.
    #[must_use]
    pub fn ids(&self, classes: usize) -> Vec<u16> {
        let mut ids = vec![0; classes];
        for class in &self.labels {
            if let Some(id) = ids.get_mut(class.class) {
                *id = class.id;
            }
        }
        ids
    }

    /// What makes probabilities of scores to which `output.activation` was applied.
    #[must_use]
    pub fn probability_activation(&self) -> Activation {
        match (self.output.activation, &self.output.decision) {
            (Activation::None, Rule::Argmax) => Activation::Softmax,
            (Activation::None, Rule::Sigmoid { .. }) => Activation::Sigmoid,
            _ => Activation::None,
        }
    }

    /// Orientation of the working volume whose memory is the tensor's, for a source of `native` orientation.
    #[must_use]
    pub fn working_orientation(&self, native: Orientation) -> Orientation {
        let oriented = self.input.orientation.unwrap_or(native);
        match self.input.axis_order {
            AxisOrder::Kji => oriented,
            AxisOrder::Ijk => oriented.reversed(),
        }
    }

    /// A triple given along the axes of `input.orientation`, in the order of the working volume's axes.
    #[must_use]
    pub fn in_working_order<T: Copy>(&self, values: [T; 3]) -> [T; 3] {
        match self.input.axis_order {
            AxisOrder::Kji => values,
            AxisOrder::Ijk => [values[2], values[1], values[0]],
        }
    }
}
